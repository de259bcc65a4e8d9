/** The connection to Redis for what the instances of a site share besides routes and messages. The directory reports an outage. */
import type { RedisSettings, Settings } from '../config/settings.ts'
import { openRedisClient, type RedisClient } from '../directory/redis/client.ts'
import type { NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'

export type SiteRedis = { client: RedisClient; prefix: string; close(): void }

/**
 * Connects in the background.
 * @param current the settings in force, whose passwords and keys count; not called at once
 * @returns undefined if the directory is not Redis
 */
export function openSiteRedis(
  { directory }: Settings,
  current: () => Settings,
  log: Log,
  noteShortage: NoteShortage,
): SiteRedis | undefined {
  if (directory.kind !== 'redis') return undefined
  const currentRedis = (): RedisSettings => {
    const { directory: next } = current()
    return next.kind === 'redis' ? next : directory
  }
  const client = openRedisClient(directory, log, () => undefined, {
    current: currentRedis,
    noteShortage,
    noteUnavailable: () => undefined,
  })
  return { client, prefix: directory.prefix, close: () => client.close() }
}
