/** The Redis directory as the router sees it: the store, what is remembered of it, and Redis's word on what has changed. */
import type { RedisSettings } from '../config/settings.ts'
import type { Log } from '../log.ts'
import type { Directory } from './directory.ts'
import { openRedisClient } from './redis-client.ts'
import { createRedisDirectory } from './redis-directory.ts'
import { openRedisInvalidation } from './redis-invalidation.ts'
import { createRouteCache } from './route-cache.ts'

/** @param onUp called whenever the connection to the store comes or goes */
export function openCachedDirectory(settings: RedisSettings, log: Log, onUp: (up: boolean) => void): Directory {
  const redis = openRedisClient(settings, log, onUp)
  const store = createRedisDirectory(redis, settings.prefix)
  const cache = createRouteCache(
    (user, trace) => store.read(user, trace),
    settings.cache,
    () => performance.now(),
  )
  const tracking = Promise.withResolvers<undefined>()
  const closeInvalidation = openRedisInvalidation(settings, redis, log, {
    onTracking() {
      cache.startTrusting()
      tracking.resolve(undefined)
    },
    onLost: cache.stopTrusting,
    onChanged: cache.change,
  })
  return {
    connected: Promise.all([redis.connected, tracking.promise]).then(() => undefined),
    lookup: (user, trace) => cache.lookup(user, trace),
    doubt: (user) => cache.doubt(user),
    close() {
      closeInvalidation()
      redis.close()
      return Promise.resolve()
    },
  }
}
