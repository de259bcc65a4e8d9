/** What this instance shares with the others of its site besides routes and messages, or has for itself without Redis. */
import type { BlockStore } from '../blocks/blocks.ts'
import { createRedisBlocks } from '../blocks/redis-blocks.ts'
import type { Settings } from '../config/settings.ts'
import type { NoteShortage } from '../errors.ts'
import { createRedisLeases } from '../leases/redis-leases.ts'
import type { Log } from '../log.ts'
import { keepLeases, type LeaseKeeper } from './leases.ts'
import { openSiteRedis } from './site-redis.ts'

export type Shared = {
  leases: LeaseKeeper
  /** undefined: this instance keeps its own blocks */
  blocks: BlockStore | undefined
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
  const redis = openSiteRedis(settings, current, log, noteShortage)
  const site = redis && { id, store: createRedisLeases(redis.client, redis.prefix, id) }
  const leases = keepLeases({ settings: current, site, log })
  return {
    leases,
    blocks: redis && createRedisBlocks(redis.client, redis.prefix),
    async leave() {
      await leases.stop()
      redis?.close()
    },
  }
}
