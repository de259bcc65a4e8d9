/**
 * The Redis directory as the router sees it: combines the store, its marker, the cache, the snapshot on disk and Redis's messages on
 * changed routes.
 */
import type { RedisSettings } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { createLogLimit } from '../../log-limit.ts'
import { createComparison } from './comparison.ts'
import type { BackendStateAnswer, Directory, DirectoryMonitor } from '../directory.ts'
import { openRedisClient } from '../redis/client.ts'
import { createRedisDirectory } from '../redis/route-store.ts'
import { openRedisInvalidation, type InvalidationListener } from './invalidation.ts'
import { createStateWriter } from '../redis/state-writer.ts'
import { createMarker } from '../redis/marker.ts'
import { createRouteCache } from './route-cache.ts'
import { keepSnapshot, loadSnapshots, snapshotFileOf } from './snapshot-file.ts'
import { shareStandIns, type OtherWorkers } from './stand-ins.ts'
import { storeOf } from '../replaceable.ts'
import { noteAnswer, type Trace } from '../trace.ts'
import type { DirectoryEntry } from '../entry.ts'

const now = (): number => performance.now()

/** @param others undefined if there is one worker */
export function openCachedDirectory(
  settings: RedisSettings,
  log: Log,
  monitor: DirectoryMonitor,
  others?: OtherWorkers,
): Directory {
  const { snapshotFile: file, snapshotSlot, prefix, servers } = settings
  const id = storeOf(settings)
  const { maxStaleMs } = settings.cache
  const before = file === undefined ? undefined : loadSnapshots(file, { store: id, nowMs: Date.now(), maxStaleMs }, log)

  const connected = Promise.withResolvers<undefined>()
  const tracked = Promise.withResolvers<undefined>()
  let policy = 'noeviction'
  let current = settings
  /** since when Redis may have lost its data, until the marker is read: a loss is known later than the first change after it */
  let doubtfulSinceMs: number | undefined
  let hasLostData = false
  let hearChange: ((user: string | undefined) => void) | undefined
  let hearBackend: ((backend: string | undefined) => void) | undefined
  /** the back ends that had a state when they were last read */
  const withState = new Set<string>()

  const redis = openRedisClient(
    settings,
    log,
    (isConnected) => {
      if (isConnected) return checkMarker()
      doubtfulSinceMs ??= now()
      marker.disconnected()
    },
    { noteShortage: monitor.noteShortage, current: () => current },
  )
  const marker = createMarker({
    redis,
    prefix,
    isCluster: servers.kind === 'cluster',
    // The snapshot may be 30 seconds old; the other workers know the current id.
    seen: others?.marker ?? before?.marker,
    onSeen: (seen) => others?.markerSeen(seen),
    log,
    nowMs: now,
    onState(state) {
      hasLostData = state === 'lost'
      if (hasLostData) cache.forgetChanges(doubtfulSinceMs ?? now())
      monitor.directoryIsUp(state === 'sound')
      monitor.directoryHasLostData(hasLostData)
      if (state !== 'sound') return
      log.info('directory connected')
      connected.resolve(undefined)
    },
  })
  others?.onMarker(marker.learn)
  const store = createRedisDirectory(redis, prefix, createBadAnswerNotes(log, monitor))
  const writeState = createStateWriter(redis, prefix, () => Date.now())
  const cache = createRouteCache(
    read,
    () => current.cache,
    now,
    () => policy.startsWith('allkeys-'),
  )
  if (before) cache.restore(before.routes)
  const keeper =
    file === undefined
      ? undefined
      : keepSnapshot(snapshotFileOf(file, snapshotSlot), id, { ...cache, marker: marker.id }, log, monitor)
  const comparison = createComparison(cache.startComparing, cache.compare, now)

  /** `onState` gets the result. */
  function checkMarker(): void {
    doubtfulSinceMs ??= now()
    marker.check().then(
      () => (doubtfulSinceMs = undefined),
      () => undefined,
    )
  }

  /** Includes the marker: a trace shows a directory that does not count as unavailable. */
  function read(user: string, trace?: Trace): Promise<DirectoryEntry | undefined> {
    const answer = readMarked(user)
    return trace ? noteAnswer(trace, store.keyOf(user), answer) : answer
  }

  async function readMarked(user: string): Promise<DirectoryEntry | undefined> {
    await marker.mayRead()
    const entry = await store.read(user)
    if (!entry) await marker.confirmAbsence(store.keyOf(user))
    return entry
  }

  async function readBackend(backend: string): Promise<BackendStateAnswer> {
    await marker.mayRead()
    const { key, state } = await store.backendState(backend)
    // A state that is gone counts only where Redis has not lost it.
    if (state === undefined && withState.has(backend)) await marker.confirmAbsence(key)
    if (state === undefined) withState.delete(backend)
    else withState.add(backend)
    return state
  }

  const listener: InvalidationListener = {
    onTracking() {
      cache.startTrusting()
      comparison.start()
      hearChange?.(undefined)
      hearBackend?.(undefined)
      tracked.resolve(undefined)
      checkMarker()
    },
    onLost: cache.stopTrusting,
    onChanged(user) {
      cache.change(user, hasLostData ? 'emptied' : undefined)
      if (user === undefined) comparison.start()
      hearChange?.(user)
    },
    onMarker: checkMarker,
    onBackend: (backend) => hearBackend?.(backend),
    noteShortage: monitor.noteShortage,
    onEvictionPolicy(next) {
      if (next === policy) return
      policy = next
      if (policy !== 'noeviction') log.warn({ maxmemory_policy: policy }, 'directory may lose routes')
    },
  }
  const closeInvalidation = openRedisInvalidation(settings, redis, log, listener, () => current)
  return {
    connected: Promise.all([connected.promise, tracked.promise]).then(() => undefined),
    lookup: others
      ? shareStandIns(cache.lookup, others.standIns, cache.standInFor, () => current.cache.maxStaleMs)
      : cache.lookup,
    lastKnown: cache.lastKnown,
    standInFor: cache.standInFor,
    invalidate: (user) => cache.invalidate(user),
    onRouteChanged: (hear) => (hearChange = hear),
    backendState: readBackend,
    async setBackendState(backend, order) {
      await marker.mayRead() // else no instance would follow the state
      return writeState(backend, order)
    },
    onBackendChanged: (hear) => (hearBackend = hear),
    renew(next) {
      if (next.kind === 'redis') current = next
    },
    async reserve(user, backend, forMs) {
      await marker.mayReserve()
      const answer = await store.reserve(user, backend, forMs)
      if ('kept' in answer) {
        const entry = { backend: answer.kept, login: undefined, status: 'active' } as const
        return { entry, source: 'placed' }
      }
      // Another instance was faster, so that the cached entry is old. The next lookup reads the route in order with the messages.
      cache.change(user)
      return { entry: answer.entry, source: 'directory' }
    },
    async commit(user, backend) {
      await marker.mayRead()
      const committed = await store.commit(user, backend)
      cache.change(user)
      if (!committed)
        throw new MuxError('directory-unavailable', 'the place of a new user has changed during the login')
    },
    async reassign(user, from, to) {
      await marker.mayReserve()
      // Read now: the message about a state that was taken back may not have arrived yet, and a wrong reassignment gives the user an empty mailbox.
      const [left, taking] = await Promise.all([store.backendState(from), store.backendState(to)])
      if (!isReassigning(left.state) || !mayTake(taking.state)) return undefined
      const answer = await store.reassign(user, from, to)
      cache.change(user)
      if (!answer) throw new MuxError('directory-unavailable', 'the route of the user was removed during the login')
      if (answer.isChanged) log.info({ user, from, to }, 'user reassigned')
      return answer.entry
    },
    async check() {
      await marker.mayRead()
    },
    async close(how) {
      comparison.stop()
      marker.close()
      closeInvalidation()
      redis.close()
      await keeper?.close(how)
    },
  }
}

type Stored = Awaited<ReturnType<ReturnType<typeof createRedisDirectory>['backendState']>>['state']

const isReassigning = (stored: Stored): boolean => stored !== undefined && 'state' in stored && stored.reassign === true

/** Without a state in Redis that of the routing file counts, which the caller knows. */
const mayTake = (stored: Stored): boolean => stored === undefined || ('state' in stored && stored.state === 'up')

/** Counts each reply that Redis cannot give, and logs one a minute, because each login can get one. */
function createBadAnswerNotes(log: Log, monitor: DirectoryMonitor): (detail: string) => void {
  const limit = createLogLimit()
  return (detail) => {
    monitor.directoryAnsweredBadly()
    const others = limit('directory gave a bad answer')
    if (others) log.error({ detail, ...others }, 'directory gave a bad answer')
  }
}
