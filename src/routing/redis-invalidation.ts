/**
 * Redis's own word that a route has changed (client-side caching, broadcast by key prefix). ioredis drops the pushes of RESP3, so
 * this is a connection of its own in RESP2 that redirects them to itself as messages.
 */
import { systemCode } from '../errors.ts'
import type { Log } from '../log.ts'
import { connectRedis, type RedisDirectorySettings } from './redis-connection.ts'

const CHANNEL = '__redis__:invalidate'
/** How often the connection is asked whether it lives: pushes that do not come look just like routes that do not change. */
const PING_EVERY_MS = 2000

/** Redis says no to tracking for a reason that takes somebody to mend: an ACL, an old version. */
const TRY_AGAIN_MS = 5000

export type InvalidationListener = {
  /** Every change from now on will be told. */
  onTracking: () => void
  /** Changes may be missed from now on. */
  onLost: () => void
  /** @param user whose route has changed; undefined: any may have */
  onChanged: (user: string | undefined) => void
}

/** @returns how to close it */
export function openRedisInvalidation(
  settings: RedisDirectorySettings,
  log: Log,
  listener: InvalidationListener,
): () => void {
  const redis = connectRedis(settings, { protocol: 2, autoResubscribe: false })
  const keyPrefix = `${settings.prefix}user:`

  let said: string | undefined
  let retry: NodeJS.Timeout | undefined
  // In this order: a connection that has subscribed takes no other command. What is told in between is of no use to anybody.
  async function startTracking(): Promise<void> {
    const id = await redis.client('ID')
    await redis.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', 'PREFIX', keyPrefix)
    await redis.subscribe(CHANNEL)
    said = undefined
    listener.onTracking()
  }
  redis.on('ready', () => {
    startTracking().catch((error: unknown) => {
      // Without it every login asks Redis, which is slower and no less right; one line for each new cause.
      const cause = systemCode(error)
      if (cause !== said) log.error({ cause }, 'directory does not tell of changes')
      said = cause
      retry = setTimeout(() => redis.disconnect(true), TRY_AGAIN_MS)
    })
  })
  redis.on('close', () => listener.onLost())
  redis.on('error', () => undefined) // the directory's own connection says it
  // The string event joins keys with commas, and names may hold one.
  redis.on('messageBuffer', (_channel: Buffer, keys: unknown) => {
    if (!Array.isArray(keys)) return listener.onChanged(undefined) // FLUSHALL
    for (const key of keys) {
      const name = Buffer.isBuffer(key) ? key.toString() : ''
      listener.onChanged(name.startsWith(keyPrefix) ? name.slice(keyPrefix.length) : undefined)
    }
  })
  const timer = setInterval(() => {
    if (redis.status === 'ready') redis.ping().catch(() => redis.disconnect(true))
  }, PING_EVERY_MS)

  return () => {
    clearInterval(timer)
    clearTimeout(retry)
    redis.disconnect()
  }
}
