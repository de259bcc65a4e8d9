/**
 * The reference manual of both files, as schemas: every key, its default, and why that default. Listeners, back ends
 * and directories, where most keys are, have files of their own. Rules for one value, and between keys of one map, are declared here; all others are functions in `check/`.
 */
import { z } from 'zod'
import {
  account,
  choice,
  domain,
  duration,
  endpoint,
  hostText,
  name,
  parsedText,
  renamedKeys,
  text,
  workers,
} from './fields.ts'
import { admin } from './admin.ts'
import { authHttp } from './auth-http.ts'
import { backend } from './backend.ts'
import { delivery } from './delivery.ts'
import { limits } from './limits.ts'
import { listener } from './listener.ts'
import { redis } from './redis.ts'
import { ABSENT, keyRules, mapRules, WRITTEN, type Rule } from './rules.ts'
import { parseLogin } from './values.ts'

const tls = z
  .strictObject({
    certificates: z
      .array(
        z.strictObject({
          cert: text(
            "File with the certificate in PEM, the server's own first, then its chain. Relative to this file. Required.",
          ),
          key: text('File with its private key in PEM, without a passphrase. Relative to this file. Required.'),
        }),
      )
      .default([])
      .meta({
        description:
          'Certificates for clients. The first is the default; the others are chosen by server name. With one of an RSA key and one of an EC key for the same names, each client is shown the one that it supports. Default: none, which only listeners with `tls: none` or `tls: passthrough` can do with.',
      }),
    min_version: choice(
      ['TLSv1.2', 'TLSv1.3'],
      [],
      'The oldest TLS that a client may speak. Default TLSv1.2: older ones are forbidden (RFC 8996), and mail clients that know nothing newer are still in use.',
      'TLSv1.2',
    ),
    ticket_secret_file: text(
      "File with at least 32 octets from which the keys of session tickets are made: instances that share it resume each other's TLS sessions. `openssl rand -base64 48` makes one. Relative to this file. Default: none; each instance resumes its own.",
    ).optional(),
  })
  .prefault({})
  .meta({ description: 'TLS facing the clients. Back ends have settings of their own in the routing file.' })

const directory = z
  .strictObject({
    redis,
    auth_http: authHttp,
    static: z.strictObject({}).optional().meta({
      description:
        'The users and domains of the routing file alone. The default where neither of the others is set; takes no keys.',
    }),
  })
  .prefault({})
  .meta({
    description:
      'Where users without a route in the routing file are looked up: `redis`, `auth_http` or `static`. Default static: needs no other service.',
  })

const log = z
  .strictObject({
    level: choice(
      ['debug', 'info', 'warn', 'error'],
      [],
      'The least that is logged; a reload changes it. Default info: a line for each login, each session and each change.',
      'info',
    ),
    format: choice(
      ['json', 'pretty'],
      [],
      'json: one object a line, for machines. pretty: for eyes. Default json: logs are collected more often than watched.',
      'json',
    ),
    file: text(
      'The file that the log is appended to, relative to this one. It is opened anew on SIGUSR1, for logrotate. Default: none, the log goes to standard output, which a service manager collects.',
    ).optional(),
  })
  .prefault({})
  .meta({ description: 'The log, on standard output or in a file.' })

/** config/mailmux.yaml */
export const mainSchema = z
  .strictObject({
    hostname: hostText('The name shown in banners (%h). Default: the name of the machine.').optional(),
    workers: workers(
      'Processes that serve, or auto: one for each core. Default 1: everything in one process, which is enough for thousands of sessions; more are kept running by a process of their own. From 1 to 64.',
      1,
    ),
    user: account(
      'The user that mailmux becomes after a start as root, once it has read the files and bound the ports. It must be able to read the files at a reload, and to write log.file. Default: none, mailmux stays the user that has started it.',
    ).optional(),
    group: account('The group that mailmux takes beside `user`. Default: that of the user.')
      .optional()
      .register(keyRules, { needs: [{ key: 'user', message: 'does nothing without user' }] }),
    listeners: z
      .array(listener)
      .min(1, { error: 'at least one listener is needed' })
      .meta({ description: 'Where clients connect. Required, at least one.' }),
    tls,
    directory,
    routing: text(
      'The file with back ends, users and domains, relative to this one. Default "routing.yaml". A file of its own, as it changes far more often.',
      'routing.yaml',
    ),
    follow_routes: z.boolean().default(true).meta({
      description:
        "Whether running sessions follow a change of their user's route, in Redis or in the routing file: true ends a session whose user has another back end or is disabled, at a safe point (limits.end_timeout). Default true: a session on the old store shows its user an old mailbox. With auth_http nothing is followed.",
    }),
    reload: choice(
      ['auto', 'signal'],
      [],
      'auto: changed files are read again by themselves. signal: on SIGHUP alone. Default auto: a renewed certificate needs no second step.',
      'auto',
    ),
    settle: duration(
      'How long size and time of a file that is written in place must stay the same before it is read; one that is replaced by rename is read at once. Default 2s: writers that pause are rarely slower.',
      '2s',
      ['10ms', '5m'],
    ).register(keyRules, {
      uselessWith: [
        { when: { reload: ['signal'] }, message: 'does nothing with reload: signal, which reads the files at once' },
      ],
    }),
    limits,
    admin,
    delivery,
    log,
    user_case: choice(
      ['keep', 'lower'],
      [],
      'The case of the local part of user names: keep tells Alice and alice apart, lower makes both alice, in routes, directory keys, placement, logs and the name at the back end. Domains never have case. Default keep: what the back ends make of it is theirs to decide; Dovecot folds to lower by default (auth_username_format).',
      'keep',
    ),
  })
  .meta({
    title: 'mailmux.yaml',
    description: 'The configuration of mailmux: what it listens on, and with what limits.',
  })

const backendName = text('The name of a back end of this file. Required.')

const user = z.union([
  backendName,
  z.strictObject({
    backend: backendName,
    login: parsedText(
      parseLogin,
      'The name to log in with there, of the characters that a user name may have. Default: the user.',
    ).optional(),
  }),
])

const BESIDE_BACKEND: Rule = {
  when: { backend: WRITTEN },
  message: 'does nothing: every user of this domain is at its backend',
}
/** Also holds for a list that is not understood. */
const isNotEmpty = (list?: readonly unknown[]): boolean => list?.length !== 0

const domainEntry = z
  .strictObject({
    backend: text('The name of a back end of this file, for every user of the domain. This or `placement`.').optional(),
    placement: choice(
      ['none', 'hash'],
      [],
      'hash: as the `placement` of this file, for this domain alone. none: not for this one. Default: the one of this file.',
    )
      .optional()
      .register(keyRules, { uselessWith: [BESIDE_BACKEND] }),
    tags: z
      .array(name('A tag of back ends.'))
      .prefault([])
      .meta({
        description:
          'With placement: hash, the tags that a back end must have to be chosen. Default: none, and it has none.',
      })
      .register(keyRules, {
        uselessWith: [
          { ...BESIDE_BACKEND, when: { ...BESIDE_BACKEND.when, tags: isNotEmpty } },
          { when: { placement: ABSENT, tags: isNotEmpty }, message: 'does nothing without placement: hash beside it' },
          { when: { placement: ['none'], tags: isNotEmpty }, message: 'does nothing with placement: none' },
        ],
      }),
  })
  .register(mapRules, {
    wrong: [
      {
        when: { backend: ABSENT, placement: ABSENT, tags: (tags?: readonly unknown[]) => tags?.length === 0 },
        message: 'says nothing: it needs a backend or a placement',
      },
    ],
  })

/** config/routing.yaml */
export const routingSchema = z
  .strictObject({
    backends: z.record(z.string(), backend).meta({ description: 'The back ends, by name. Required, at least one.' }),
    users: z.record(z.string(), user).default({}).meta({
      description:
        'Static routes: user to back end, or to {backend, login}. They win over the directory. Default: none.',
    }),
    domains: z
      .record(z.string(), z.union([backendName, domainEntry]))
      .default({})
      .meta({
        description:
          'The back end for users of a domain that have no route of their own: domain to back end, or to {backend} or {placement}. Default: none.',
      }),
    domain_aliases: z.record(z.string(), domain('The domain that it stands for.')).prefault({}).meta({
      description:
        'Domains that mean another: the user is looked up, and logs in, under the other. One step only. Default: none.',
    }),
    resolvers: z.array(endpoint('The address and port of a name server.')).prefault([]).meta({
      description:
        "Name servers that are asked for the back ends' hosts, in this order, as address and port: `127.0.0.1:53`. Default: none; names are found as the system finds them, its hosts file and search domains included.",
    }),
    placement: choice(
      ['none', 'hash'],
      [],
      'What happens at the login of any other user without a route. none: refused. hash: a back end is chosen by hash and weight, and remembered in Redis once it has let the user in. Default none: a name that is not listed is more often a typing error than a new user.',
      'none',
    ),
  })
  .meta({
    title: 'routing.yaml',
    description: 'What operators edit: back ends, and the back ends of users and domains.',
  })
  .register(renamedKeys, { aliases: 'domain_aliases' })
