/** `directory.redis` as settings: its servers, the user and password, and how long routes are valid. */
import type { z } from 'zod'
import type { RedisFiles } from '../check/redis.ts'
import type { redis as schema } from '../schema/redis.ts'
import type { RedisServers, RedisSettings } from '../settings.ts'

type Redis = NonNullable<z.output<typeof schema>>

/** Changes are pushed, so this only bounds what a lost push can cost. */
const ROUTE_LIFETIME_MS = 3_600_000
/** A new account is pushed too; a guesser's many names should still be forgotten soon. */
const UNKNOWN_LIFETIME_MS = 30_000

export function buildRedis(redis: Redis, files: RedisFiles): RedisSettings {
  const { url, tls } = redis
  const wantsTls = url === undefined ? tls !== undefined : url.tls
  return {
    kind: 'redis',
    servers: buildServers(redis, files),
    username: redis.username ?? url?.username,
    password: files.password ?? url?.password,
    tls: wantsTls
      ? { ca: files.ca, clientCertificate: files.clientCertificate, serverName: tls?.server_name }
      : undefined,
    prefix: redis.prefix,
    timeoutMs: redis.timeout,
    cache: {
      maxEntries: redis.cache_size,
      lifetimeMs: ROUTE_LIFETIME_MS,
      negativeLifetimeMs: UNKNOWN_LIFETIME_MS,
      maxStaleMs: redis.max_stale,
    },
    snapshotFile: files.snapshotFile,
    snapshotSlot: 1,
  }
}

/** @throws Error where none is named, which the checks have ruled out */
function buildServers({ url, sentinels, nodes }: Redis, files: RedisFiles): RedisServers {
  if (url) return { kind: 'single', server: { host: url.host, port: url.port }, database: url.database }
  if (nodes) return { kind: 'cluster', nodes }
  if (!sentinels) throw new Error('directory.redis names no Redis')
  const { name, addresses, username } = sentinels
  return { kind: 'sentinels', name, addresses, username, password: files.sentinelPassword }
}
