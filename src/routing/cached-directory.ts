/** The Redis directory as the router sees it: the store, what is remembered of it, and Redis's word on what has changed. */
import type { Log } from '../log.ts'
import type { Directory } from './directory.ts'
import type { RedisDirectorySettings } from './redis-connection.ts'
import { openRedisDirectory } from './redis-directory.ts'
import { openRedisInvalidation } from './redis-invalidation.ts'
import { createRouteCache } from './route-cache.ts'

/** @param onUp called whenever the connection to the store comes or goes */
export function openCachedDirectory(
  settings: RedisDirectorySettings,
  log: Log,
  onUp: (up: boolean) => void,
): Directory {
  const store = openRedisDirectory(settings, log, onUp)
  const cache = createRouteCache(
    (user, trace) => store.read(user, trace),
    settings.cache,
    () => performance.now(),
  )
  const tracking = Promise.withResolvers<undefined>()
  const closeInvalidation = openRedisInvalidation(settings, log, {
    onTracking() {
      cache.startTrusting()
      tracking.resolve(undefined)
    },
    onLost: cache.stopTrusting,
    onChanged: cache.change,
  })
  return {
    connected: Promise.all([store.connected, tracking.promise]).then(() => undefined),
    lookup: (user, trace) => cache.lookup(user, trace),
    doubt: (user) => cache.doubt(user),
    close() {
      closeInvalidation()
      store.close()
      return Promise.resolve()
    },
  }
}
