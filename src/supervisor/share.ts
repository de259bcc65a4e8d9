/** The settings of one of several workers, with its share of the limits that the configuration sets for all. Pure. */
import type { BackendLimits, DirectorySettings, Settings } from '../config/settings.ts'

export type Slot = {
  /** from 1 */
  worker: number
  workers: number
}

/**
 * Limits of back ends and of connections are divided, so that their sum is the configured value. Each share is at least 1, because with 0
 * the clients of the worker could never log in. `sessions` and `logins` are leased besides (leases.ts): the share of `logins` is what the
 * slow start and the part of one client address are computed from. Each worker has a file of its own for known routes.
 */
export function settingsOf(slot: Slot, settings: Settings): Settings {
  if (slot.workers === 1) return settings
  const { limits } = settings
  const shared = new Map(
    [...settings.routing.backends].map(([name, backend]) => {
      return [name, { ...backend, limits: shareLimits(slot, backend.limits) }] as const
    }),
  )
  return {
    ...settings,
    limits: {
      ...limits,
      maxConnections: limits.maxConnections === undefined ? undefined : share(slot, limits.maxConnections),
    },
    directory: directoryOf(slot, settings.directory),
    routing: { ...settings.routing, backends: shared },
  }
}

function shareLimits(slot: Slot, limits: BackendLimits): BackendLimits {
  const { sessions, logins, loginsPerSecond, queue, waitMs, leastForAddress } = limits
  return {
    sessions: sessions === undefined ? undefined : share(slot, sessions),
    logins: share(slot, logins),
    // A rate may be a fraction, so the shares of a small rate are not rounded up.
    loginsPerSecond: loginsPerSecond === undefined ? undefined : loginsPerSecond / slot.workers,
    queue: share(slot, queue),
    waitMs,
    // The connections of one client reach all workers.
    leastForAddress: share(slot, leastForAddress),
  }
}

/** The first workers get the remainder of the division. */
function share({ worker, workers }: Slot, whole: number): number {
  return Math.max(1, Math.floor(whole / workers) + (worker <= whole % workers ? 1 : 0))
}

export function directoryOf({ worker }: Pick<Slot, 'worker'>, directory: DirectorySettings): DirectorySettings {
  return directory.kind === 'redis' ? { ...directory, snapshotSlot: worker } : directory
}
