/** The reference manual of `directory.redis`, as a schema. Rules that need more than its keys: check/redis.ts. */
import { z } from 'zod'
import { boundedInt, duration, endpoint, hostText, redisUrl, text } from './fields.ts'
import { ABSENT, isUnderstood, keyRules, mapRules, WRITTEN, type Rule } from './rules.ts'
import type { RedisUrl } from './values.ts'

/** The first of them that is written is the one that is used. */
function besideOther(key: 'url' | 'sentinels'): Rule {
  return {
    when: { [key]: WRITTEN },
    message: `does nothing beside ${key}: there can be one of url, sentinels and nodes`,
  }
}
const BESIDE_URL = besideOther('url')

const password = (whose: string) =>
  text(`File that holds the password${whose}. Relative to this file. Default: none.`).optional()

const sentinels = z
  .strictObject({
    name: text('The name of the master, as the Sentinels know it. Required.', undefined, /^[!-~]+$/u),
    addresses: z
      .array(endpoint('A Sentinel, as host:port; its usual port is 26379.'))
      .min(1, { error: 'at least one Sentinel is needed' })
      .meta({ description: 'Sentinels, as host:port. One that answers is enough; it tells of the others. Required.' }),
    username: text(
      'The user that the Sentinels themselves ask for (ACL). Needs password_file. Default: none.',
      undefined,
      /^[!-~]+$/u,
    )
      .optional()
      .register(keyRules, { needs: [{ key: 'password_file', message: 'a user needs a password: add password_file' }] }),
    password_file: password(' that the Sentinels themselves ask for'),
  })
  .optional()
  .meta({ description: 'Sentinels, which name the master. In place of `url`.' })
  .register(keyRules, { uselessWith: [BESIDE_URL] })

const tls = z
  .strictObject({
    ca_file: text(
      "File with the CAs in PEM to trust in place of the system's. Relative to this file. Default: the system's.",
    ).optional(),
    client_cert: text(
      'File with a certificate in PEM to show where Redis asks for one. Needs client_key. Relative to this file. Default: none.',
    )
      .optional()
      .register(keyRules, { needs: [{ key: 'client_key', message: 'needs client_key beside it' }] }),
    client_key: text('File with its private key in PEM, without a passphrase. Relative to this file. Default: none.')
      .optional()
      .register(keyRules, { needs: [{ key: 'client_cert', message: 'needs client_cert beside it' }] }),
    server_name: hostText(
      'The name that every certificate must carry. Default: the host that is connected to, name or address.',
    ).optional(),
  })
  .optional()
  .meta({
    description:
      'TLS, for Sentinels too. With `url` it wants rediss://, which alone asks for TLS with the defaults; with `sentinels` and `nodes` `tls: {}` does. Default: none, in clear.',
  })
  .register(keyRules, {
    uselessWith: [
      {
        when: { url: (url?: RedisUrl) => url?.tls === false },
        message: 'does nothing with redis://; write the url as rediss://',
      },
    ],
  })

export const redis = z
  .strictObject({
    url: redisUrl(
      'redis://host:port or rediss:// (TLS), with an optional user, password and /database: "redis://user:${REDIS_PASSWORD}@127.0.0.1:6379/0". A variable between "//" and "@" is percent-encoded for you. One of url, sentinels and nodes is required.',
    ).optional(),
    sentinels,
    nodes: z
      .array(endpoint('A node of the Cluster, as host:port.'))
      .min(1, { error: 'at least one node is needed' })
      .optional()
      .meta({
        description:
          'Nodes of a Redis Cluster, as host:port. One that answers is enough; it tells of the others. In place of `url`.',
      })
      .register(keyRules, { uselessWith: [BESIDE_URL, besideOther('sentinels')] }),
    username: text(
      'The user to log in as (ACL). Needs a password. Default: none, the user `default`.',
      undefined,
      /^[!-~]+$/u,
    ).optional(),
    password_file: password(', in place of one in the url').register(keyRules, {
      uselessWith: [
        {
          when: { url: (url?: RedisUrl) => url?.password !== undefined },
          message: 'does nothing: the url has a password of its own',
        },
      ],
    }),
    tls,
    prefix: text(
      'Before the name of every key in Redis. Default "mailmux:", so that a Redis may be shared.',
      'mailmux:',
      /^[!-~]{1,100}$/u,
    ),
    timeout: duration(
      'How long one answer of Redis may take before it counts as away. Default 500ms: a hundred times what it needs, and a client still waits gladly.',
      '500ms',
      ['10ms', '30s'],
    ),
    max_stale: duration(
      'How long a known user keeps the last known route while Redis cannot be asked. Default 24h: an outage of a night costs no known user a login; 0s refuses every login at once.',
      '24h',
      ['0s', '720h'],
    ),
    cache_size: boundedInt(
      'How many users are remembered. Default 100000: about 30 MiB, and an active user is not asked for twice.',
      100_000,
      [1, 10_000_000],
    ),
    snapshot_file: text(
      'File in which known routes are kept, so that a start while Redis cannot be asked knows them too; an instance writes its own. Relative to this file. Default: none.',
    )
      .optional()
      .register(keyRules, {
        uselessWith: [
          {
            when: { max_stale: [0], snapshot_file: isUnderstood },
            message: 'does nothing with max_stale: 0s, which lets no known route stand in',
          },
        ],
      }),
  })
  .register(mapRules, {
    wrong: [
      {
        when: { url: ABSENT, sentinels: ABSENT, nodes: ABSENT },
        message: 'names no Redis: it needs url, sentinels or nodes',
      },
    ],
  })
  .optional()
  .meta({ description: 'The directory of users in Redis: one Redis, a master watched by Sentinels, or a Cluster.' })
