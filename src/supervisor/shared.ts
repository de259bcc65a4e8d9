/**
 * What this instance shares with the others of its site besides routes and messages, or has for itself without Redis. A reload that
 * replaces the directory moves all of it to the new one.
 */
import type { BlockStore } from '../blocks/blocks.ts'
import { createRedisBlocks } from '../blocks/redis-blocks.ts'
import type { Settings } from '../config/settings.ts'
import { mustReplace } from '../directory/replaceable.ts'
import type { NoteShortage } from '../errors.ts'
import { createRedisLeases } from '../leases/redis-leases.ts'
import type { Ledger } from '../limits/ledger.ts'
import type { Usage } from '../limits/usage.ts'
import { createRedisLimits } from '../limits/redis-limits.ts'
import type { Log } from '../log.ts'
import { atMost } from './at-most.ts'
import { keepClientLimits, type SharedLimits } from './client-limits.ts'
import { keepLeases, type LeaseKeeper, type SharedLeases } from './leases.ts'
import { createCounts, type Counts } from './generation/counts.ts'
import type { RouteParts } from '../admin/route-routes.ts'
import { createSiteRoutes } from './route-orders.ts'
import { openSiteRedis, type SiteRedis } from './site-redis.ts'

/** The workers have reached the new Redis before, so that it answers soon. Without an answer the instance counts for itself. */
const CONNECT_MS = 2000

export type Shared = {
  leases: LeaseKeeper
  /** what the limits on clients count */
  ledger: Ledger
  /** Those at this instance that are nearest to a limit on clients. */
  usage: (most: number) => Usage[]
  /** what an upgrade takes along of both */
  counts: Counts
  /** Whether all that can be shared is; undefined if nothing can */
  isShared: () => boolean | undefined
  /** undefined: this instance keeps its own blocks. Another store after `follow` has changed the directory */
  blocks: () => BlockStore | undefined
  /** orders of operators for the routes in Redis */
  routes: RouteParts['routes']
  /** Settles when the directory of these settings is in use. Does not fail. */
  follow(settings: Settings): Promise<void>
  /** Gives back what this instance holds. */
  leave(): Promise<void>
}

export type SharedParts = {
  settings: Settings
  /** the settings in force; not called at once */
  current: () => Settings
  /** of this instance */
  id: string
  log: Log
  noteShortage: NoteShortage
}

export function openShared({ settings, current, id, log, noteShortage }: SharedParts): Shared {
  let { directory } = settings
  let redis = openSiteRedis(directory, log, noteShortage)
  let blocks = blocksOf(redis)
  const leases = keepLeases({ settings: current, site: leasesOf(redis, id), log })
  const limits = keepClientLimits({ settings: current, site: limitsOf(redis, id), log })
  return {
    leases,
    ledger: limits.ledger,
    usage: limits.usage,
    counts: createCounts({ limits, leases }),
    isShared: () => leases.isShared() && limits.isShared() !== false,
    blocks: () => blocks,
    routes: createSiteRoutes(() => redis, current),
    async follow({ directory: next }) {
      const before = directory
      directory = next
      if (!mustReplace(before, next)) return redis?.renew(next)
      const old = redis
      redis = openSiteRedis(next, log, noteShortage)
      if (redis) await atMost(CONNECT_MS, redis.client.connected)
      blocks = blocksOf(redis)
      await limits.moveTo(limitsOf(redis, id))
      await leases.moveTo(leasesOf(redis, id))
      old?.close()
    },
    async leave() {
      limits.stop()
      await leases.stop()
      redis?.close()
    },
  }
}

function blocksOf(redis: SiteRedis | undefined): BlockStore | undefined {
  return redis && createRedisBlocks(redis.client, redis.prefix)
}

function leasesOf(redis: SiteRedis | undefined, id: string): SharedLeases | undefined {
  return redis && { id, store: createRedisLeases(redis.client, redis.prefix, id) }
}

function limitsOf(redis: SiteRedis | undefined, id: string): SharedLimits | undefined {
  return redis && { id, store: createRedisLimits(redis.client, redis.prefix, id) }
}
