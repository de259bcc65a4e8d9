/** Whether routes may be written to Redis: not while it has lost its data, since a written route would be used beside the missing ones. */
import type { RedisClient } from '../directory/redis/client.ts'
import { isForbidden } from '../directory/redis/errors.ts'

/**
 * `none`: Redis is new, or has just lost its data, which only an instance that has seen the marker can tell. `unreadable`: the Redis user
 * lacks the right to the marker, and no loss is noticed by anyone.
 */
export type MarkerSign = { kind: 'sound' | 'none' | 'unreadable' } | { kind: 'lost'; since: string; accept: string }

/** @throws Error as `hmget` */
export async function readMarkerSign(redis: Pick<RedisClient, 'hmget'>, prefix: string): Promise<MarkerSign> {
  const key = `${prefix}marker`
  try {
    const [id = null, lost = null] = await redis.hmget(key, 'id', 'lost')
    if (lost !== null) return { kind: 'lost', since: lost.slice(0, 40), accept: `redis-cli HDEL ${key} lost` }
    return { kind: id === null ? 'none' : 'sound' }
  } catch (error) {
    if (isForbidden(error)) return { kind: 'unreadable' }
    throw error
  }
}

export function describeLoss({ since, accept }: MarkerSign & { kind: 'lost' }): string {
  return `Redis has lost its data (${since}), and no route is changed until it is accepted as it is: ${accept} (docs/operations.md#when-redis-has-lost-its-data)`
}
