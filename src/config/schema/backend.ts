/**
 * The reference manual of one back end of routing.yaml, as a schema. Rules that need more than its keys: check/backend.ts.
 * Over 250 lines: it is one list of keys with their descriptions.
 */
import { z } from 'zod'
import { BACKEND_STATES } from '../settings.ts'
import { eachProtocol, listProtocols, PROTOCOL_NAMES, specOf } from '../../protocol/registry.ts'
import { boundedInt, choice, duration, hostText, name, parsedText, port, renamedKeys, text } from './fields.ts'
import { ABSENT, keyRules, mapRules, otherThan, WRITTEN, type Condition, type KeyRules } from './rules.ts'
import { parseLoginFormat, parsePin, parseSeparator, parseServiceDomain, parseServiceName } from './wire-values.ts'

const WITHOUT_TLS = { when: { tls: ['none'] }, message: (key: string) => `${key} does nothing with tls: none` }
const OF_TLS: KeyRules = { uselessWith: [WITHOUT_TLS] }

const BESIDE_SRV: KeyRules = {
  uselessWith: [{ when: { srv: WRITTEN }, message: (key) => `${key} does nothing beside srv, whose records have it` }],
}
/** Holds for a map that names no protocol. */
const NO_PROTOCOL: Condition = eachProtocol((): typeof ABSENT => ABSENT)

const master = z
  .strictObject({
    user: text('Its name. Required.', undefined, /^\P{Cc}+$/u),
    password_file: text('File that holds its password. Relative to this file. Required.'),
    separator: parsedText(
      parseSeparator,
      'Log in as user, separator, master user, the way of Dovecot with auth_master_user_separator; one character that no user name has. Default: none; the user is named by the authzid of SASL PLAIN (RFC 4616), which needs no setting there.',
    ).optional(),
  })
  .register(renamedKeys, { secret_file: 'password_file' })
  .optional()
  .meta({
    description:
      'A master user, which may log in for other users there: used for logins by client certificate (EXTERNAL), which have no password to pass on. Default: none; they are refused.',
  })

const limits = z
  .strictObject({
    sessions: boundedInt(
      'Sessions at once, logins under way included. Default: none; the back end counts its sessions itself.',
      undefined,
      [1, 1_000_000],
    ).optional(),
    logins: boundedInt(
      'Logins under way at once. Default 1000: at 50 ms a login that is 20000 a second, more than a server does; a hung one holds no more than these. One client address (or /64 network) has an eighth of them at most, but 4 where there are so many.',
      1000,
      [1, 100_000],
    ),
    logins_per_second: boundedInt(
      'Logins begun in a second. Default: none; `logins` bounds them.',
      undefined,
      [1, 100_000],
    ).optional(),
    queue_timeout: duration(
      'How long a login waits for its turn where a limit is reached, before it is told to come back later. Within limits.backend_timeout of the main file. Default 10s: half of that, so that time is left for the login itself; 0s lets none wait.',
      '10s',
      ['0s', '5m'],
    ),
    queue_size: boundedInt(
      'How many logins wait at once; those that come then are told to come back later. Default 10000: each is a connection that is there anyway. One client address has an eighth of it at most, as with `logins`.',
      10_000,
      [1, 1_000_000],
    ).register(keyRules, {
      uselessWith: [{ when: { queue_timeout: [0] }, message: 'queue_size does nothing with queue_timeout: 0s' }],
    }),
  })
  .register(renamedKeys, { wait: 'queue_timeout', queue: 'queue_size' })
  .prefault({})
  .meta({
    description:
      'What mailmux asks of it at most. Further logins wait in order, and are refused if that takes too long. `sessions` and `logins` hold for all workers together, and for all instances with the same Redis; the others for each instance.',
  })

const host = z
  .union([
    hostText('A host name or an address.'),
    z.array(hostText('A host name or an address.')).min(1, { error: 'at least one host is needed' }),
  ])
  .optional()
  .meta({
    description:
      'A host name or an address, or up to 8 of them in order of preference: the first that is up is used. A name is looked up again when its DNS record runs out. Default: none; it or srv is needed.',
  })
  .register(keyRules, BESIDE_SRV)

function serviceNames(kind: 'plain' | 'implicit'): string {
  const names = PROTOCOL_NAMES.flatMap((name) => specOf(name).srvNames?.[kind] ?? [])
  return names.map((name) => `\`${name}._tcp\``).join(', ')
}

const srv = z
  .union([
    parsedText(parseServiceDomain, 'A domain.'),
    z
      .strictObject(
        eachProtocol(({ title }) =>
          parsedText(
            parseServiceName,
            `The name of the SRV records of ${title}. Default: none; users of this back end cannot use ${title}.`,
          ).optional(),
        ),
      )
      .register(mapRules, {
        wrong: [{ when: NO_PROTOCOL, message: `serves nothing: it needs ${listProtocols('or')}` }],
      }),
  ])
  .optional()
  .meta({
    description: `In place of host and ports: SRV records, with their priorities and weights (RFC 2782). A domain stands for the names of RFC 6186 there: ${serviceNames('plain')}, and with tls: implicit ${serviceNames('implicit')}. Default: none.`,
  })

const OF_CHECKS: KeyRules = {
  uselessWith: [{ when: { check: ['none'] }, message: (key) => `${key} does nothing with check: none` }],
}
const OF_LOGIN_CHECK: KeyRules = {
  uselessWith: [{ when: { check: otherThan('login') }, message: (key) => `${key} does nothing without check: login` }],
}

const health = z
  .strictObject({
    check: choice(
      ['tcp', 'tls', 'greeting', 'login', 'none'],
      [],
      'tcp: a connection. tls: a handshake, with tls: implicit. greeting: all that comes before a login, TLS included. login: a login as `user`. none: only the logins of users tell. Default greeting: a server that hangs still accepts connections, and nothing has to be set up for it.',
      'greeting',
    ).register(keyRules, {
      needs: (['user', 'password_file'] as const).map((key) => ({
        key,
        when: { check: ['login'] },
        message: `check: login needs ${key} beside it`,
        at: 'value' as const,
      })),
    }),
    interval: duration(
      'How often each address is checked, give or take a tenth; an address where a login has just succeeded is not. Default 10s: each check leaves a line in the log of most servers.',
      '10s',
      ['1s', '1h'],
    ).register(keyRules, OF_CHECKS),
    timeout: duration(
      'A check that takes longer has failed: what hangs is down. Default 5s: a server that needs longer to greet is of no use to its users.',
      '5s',
      ['100ms', '1m'],
    ).register(keyRules, OF_CHECKS),
    rise: boundedInt(
      'Checks in a row that must succeed before an address that is down is up again; one login that is answered is enough. Default 2.',
      2,
      [1, 100],
    ).register(keyRules, OF_CHECKS),
    fall: boundedInt(
      'Failures in a row, of checks or logins, that make an address down. Default 3: one is a restart, or bad luck.',
      3,
      [1, 100],
    ),
    user: text('The user that logs in for check: login. Required with it.', undefined, /^\P{Cc}+$/u)
      .optional()
      .register(keyRules, OF_LOGIN_CHECK),
    password_file: text('File that holds the password of `user`. Relative to this file. Required with it.')
      .optional()
      .register(keyRules, OF_LOGIN_CHECK),
  })
  .register(renamedKeys, { secret_file: 'password_file' })
  .prefault({})
  .meta({ description: 'How mailmux finds out whether each address of it works.' })

export const backend = z
  .strictObject({
    host,
    srv,
    ...eachProtocol(({ title }) =>
      port(
        `The port of ${title} there. Default: none; users of this back end cannot use ${title}. One of ${listProtocols('and')} is needed.`,
      )
        .optional()
        .register(keyRules, BESIDE_SRV),
    ),
    state: choice(
      BACKEND_STATES,
      [],
      `up: it takes logins. pause: logins wait, up to ${listProtocols('and', ({ title, longestHoldMs }) => `${longestHoldMs / 1000} s in ${title}`)}, so that users do not notice a short restart. drain: the same, no new user is placed there, and its running sessions end at safe points, over 60 s for each 1,000 sessions and at least 20 s; those whose turn has not come stay when the state changes back. down: no login reaches it and no new user is placed there; a login is refused at once as in an outage, and running sessions go on. Health checks go on in each state. With the directory Redis, a state in the hash PREFIXbackend:NAME takes precedence. Default up.`,
      'up',
    ),
    lmtp: port(
      'The port of LMTP there, which `delivery` returns to Postfix. Default: none; the mail of its users is deferred. mailmux itself never connects to it.',
    )
      .optional()
      .register(keyRules, {
        uselessWith: [
          { when: { srv: WRITTEN }, message: 'lmtp needs host: the records of srv have other ports and names' },
        ],
      }),
    tls: choice(
      ['none', 'starttls', 'implicit'],
      [],
      'How to reach it: none, starttls (STARTTLS or STLS, refused if it is not offered), implicit. Default none: most back ends are in the same network, and a wrong default would refuse all logins.',
      'none',
    ),
    tls_name: hostText(
      'The name that its certificate must carry, at each of its addresses. Default: the name in `host` that was dialled, never what it resolves to. Required where `host` has an address, and with srv, whose targets are what DNS says (RFC 6125).',
    )
      .optional()
      .register(keyRules, OF_TLS),
    ca_file: text(
      "File with the CAs in PEM to trust in place of the system's. Relative to this file. Default: the system's.",
    )
      .optional()
      .register(keyRules, {
        uselessWith: [
          WITHOUT_TLS,
          {
            when: { tls: ['starttls', 'implicit'], verify: ['none'] },
            message: 'ca_file does nothing with verify: none',
          },
        ],
      }),
    verify: choice(
      ['name', 'none'],
      [],
      'name: the certificate must be trusted and carry the name. none: without pin_sha256, an attacker that diverts the connection reads the passwords; warned of at start. Default name.',
      'name',
    ).register(keyRules, OF_TLS),
    pin_sha256: z
      .array(parsedText(parsePin, 'The SHA-256 of a certificate, in hexadecimal, with colons or without.'))
      .prefault([])
      .meta({
        description:
          'SHA-256 fingerprints of the certificates that are accepted there, as `openssl x509 -fingerprint -sha256` prints them; several for the time of a change. Default: none.',
      })
      .register(keyRules, OF_TLS),
    client_cert: text(
      'File with a certificate in PEM to show where the back end asks for one. Needs client_key. Relative to this file. Default: none.',
    )
      .optional()
      .register(keyRules, { ...OF_TLS, needs: [{ key: 'client_key', message: 'needs client_key beside it' }] }),
    client_key: text('File with its private key in PEM, without a passphrase. Relative to this file. Default: none.')
      .optional()
      .register(keyRules, { ...OF_TLS, needs: [{ key: 'client_cert', message: 'needs client_cert beside it' }] }),
    proxy_protocol: choice(
      ['none', 'v1', 'v2'],
      [],
      "Whether to send the client's address in a PROXY header. v1: a line of text. v2: binary, with TLS and server name. Default none: a back end that expects none takes the header for a bad command.",
      'none',
    ),
    forward_identity: z
      .boolean()
      .default(true)
      .meta({
        description: `Tell the back end the address of the client: by ${listProtocols('or', ({ title, identityBy: { command, note } }) => `${command} (${note === undefined ? title : `${title}, ${note}`})`)}, where it offers them. Default true: its log and its penalties would otherwise have the address of mailmux for all clients.`,
      }),
    login_format: parsedText(
      parseLoginFormat,
      'The name to log in with there: %u user@domain, %n the user, %d the domain, %% a percent sign. Default "%u". The `login` of a route wins over it.',
      '%u',
    ),
    master,
    health,
    limits,
    slow_start: duration(
      'After it was down, how long until it gets logins at its full rate: at first 10 a second, or a tenth of what it may have where that is less, growing by the same factor each second up to logins_per_second (without one, as many as `logins`). Default 10s: a wave of 2000 clients is in by then, and cold caches have had their time; 0s turns it off.',
      '10s',
      ['0s', '10m'],
    ),
    weight: boundedInt(
      "Its share of the users that are placed, against the others' weights; 0 takes no new ones. Default 1: all the same.",
      1,
      [0, 1000],
    ),
    tags: z.array(name('A tag.')).prefault([]).meta({
      description:
        'What tells it from others to the `tags` of a domain. A back end with tags takes new users of no other domain. Default: none.',
    }),
  })
  .meta({ description: 'One back end: a mail server that holds mailboxes.' })
  .register(mapRules, {
    wrong: [
      { when: { srv: ABSENT, host: ABSENT }, message: 'is nowhere: it needs host, or srv' },
      { when: { srv: ABSENT, ...NO_PROTOCOL }, message: `serves nothing: it needs a port, ${listProtocols('or')}` },
    ],
  })
