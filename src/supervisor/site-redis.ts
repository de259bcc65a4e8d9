/** The connection to Redis for what the instances of a site share besides routes and messages. The directory reports an outage. */
import type { DirectorySettings } from '../config/settings.ts'
import { openRedisClient, type RedisClient } from '../directory/redis/client.ts'
import type { NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'

export type SiteRedis = {
  client: RedisClient
  prefix: string
  /** Other passwords and keys count from the next connection on. */
  renew: (directory: DirectorySettings) => void
  close(): void
}

/**
 * Connects in the background.
 * @returns undefined if the directory is not Redis
 */
export function openSiteRedis(
  directory: DirectorySettings,
  log: Log,
  noteShortage: NoteShortage,
): SiteRedis | undefined {
  if (directory.kind !== 'redis') return undefined
  let inUse = directory
  const client = openRedisClient(directory, log, () => undefined, {
    current: () => inUse,
    noteShortage,
    noteUnavailable: () => undefined,
  })
  return {
    client,
    prefix: directory.prefix,
    renew(next) {
      if (next.kind === 'redis') inUse = next
    },
    close: () => client.close(),
  }
}
