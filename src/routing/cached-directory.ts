/** The Redis directory as the router sees it: the store, what is remembered of it, here and on disk, and Redis's word on what has changed. */
import { createHash } from 'node:crypto'
import type { RedisSettings } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Directory } from './directory.ts'
import { openRedisClient } from './redis-client.ts'
import { createRedisDirectory } from './redis-directory.ts'
import { openRedisInvalidation } from './redis-invalidation.ts'
import { createComparison } from './comparison.ts'
import { createRouteCache } from './route-cache.ts'
import { keepSnapshot, loadSnapshots, snapshotFileOf } from './snapshot-file.ts'

/** @param onUp called whenever the connection to the store comes or goes */
export function openCachedDirectory(settings: RedisSettings, log: Log, onUp: (up: boolean) => void): Directory {
  const redis = openRedisClient(settings, log, onUp)
  const store = createRedisDirectory(redis, settings.prefix)
  const cache = createRouteCache(
    (user, trace) => store.read(user, trace),
    settings.cache,
    () => performance.now(),
  )
  const { snapshotFile: file, snapshotSlot } = settings
  const id = storeId(settings)
  const { maxStaleMs } = settings.cache
  if (file !== undefined) cache.restore(loadSnapshots(file, { store: id, nowMs: Date.now(), maxStaleMs }, log))
  const keeper = file === undefined ? undefined : keepSnapshot(snapshotFileOf(file, snapshotSlot), id, cache, log)
  const comparison = createComparison(cache.compare)
  const tracking = Promise.withResolvers<undefined>()
  const closeInvalidation = openRedisInvalidation(settings, redis, log, {
    onTracking() {
      cache.startTrusting()
      comparison.start()
      tracking.resolve(undefined)
    },
    onLost: cache.stopTrusting,
    onChanged: cache.change,
  })
  return {
    connected: Promise.all([redis.connected, tracking.promise]).then(() => undefined),
    lookup: (user, trace) => cache.lookup(user, trace),
    doubt: (user) => cache.doubt(user),
    async place(user, backend, forMs) {
      const answer = await store.claim(user, backend, forMs)
      if ('kept' in answer) {
        const entry = { backend: answer.kept, login: undefined, status: 'active' } as const
        return { entry, source: 'placed' }
      }
      // Somebody was faster. What is known of the user is of before that; the next lookup reads it in its order among the pushes.
      cache.change(user)
      return { entry: answer.entry, source: 'directory' }
    },
    async settle(user, backend) {
      const settled = await store.settle(user, backend)
      cache.change(user)
      if (!settled) throw new MuxError('directory-unavailable', 'the place of a new user has changed during the login')
    },
    async close() {
      comparison.stop()
      closeInvalidation()
      redis.close()
      await keeper?.close()
    },
  }
}

/** By which a snapshot of another store is told: the same user may live elsewhere there. No credential is in it. */
function storeId({ servers, prefix }: RedisSettings): string {
  return createHash('sha256')
    .update(JSON.stringify([prefix, servers]))
    .digest('hex')
    .slice(0, 16)
}
