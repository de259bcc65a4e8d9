/** The users that have a hash of their own in Redis, for commands that need all of them. */
import type { Endpoint, RedisSettings } from '../../config/settings.ts'
import type { LookupServer, RedisClient } from './client.ts'
import { connectRedis } from './connection.ts'
import { causeOf, RedisFailure } from './errors.ts'

/** Keys that Redis looks at for one reply. It serves others in between. */
const BATCH = 1000
const CONNECT_MS = 7000

/**
 * Walks over all keys of the database, in a Cluster over those of each master. A user that is written meanwhile may be missing.
 * @param redis connected, with these settings
 * @throws RedisFailure
 */
export async function scanUsers(
  settings: RedisSettings,
  redis: Pick<RedisClient, 'lookupServer'>,
): Promise<Set<string>> {
  const users = new Set<string>()
  const nodes: readonly (Endpoint | undefined)[] =
    redis.lookupServer.kind === 'cluster' ? await mastersWithin(redis.lookupServer, CONNECT_MS) : [undefined]
  for (const node of nodes) await scanNode(settings, node, users)
  return users
}

/** A Cluster that fails after `redis` has connected does not report its masters any more. @throws RedisFailure */
function mastersWithin(server: Extract<LookupServer, { kind: 'cluster' }>, ms: number): Promise<readonly Endpoint[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new RedisFailure('Redis: the Cluster does not report its masters')), ms)
    server.onMasters((masters, whole) => {
      if (!whole) return
      clearTimeout(timer)
      resolve(masters)
    })
  })
}

async function scanNode(settings: RedisSettings, node: Endpoint | undefined, users: Set<string>): Promise<void> {
  const { client, close } = connectRedis(settings, { protocol: 2, autoResubscribe: false }, node)
  let timer: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      let cause: unknown
      client.on('error', (error) => (cause = error))
      client.once('ready', () => resolve())
      timer = setTimeout(() => reject(new RedisFailure(causeOf(cause ?? new RedisFailure('no answer')))), CONNECT_MS)
    })
    const start = `${settings.prefix}user:`
    const pattern = `${start.replace(/[\\*?[\]]/gu, '\\$&')}*`
    let cursor = '0'
    do {
      const [next, keys] = await client.scan(cursor, 'MATCH', pattern, 'COUNT', BATCH)
      for (const key of keys) users.add(key.slice(start.length))
      cursor = next
    } while (cursor !== '0')
  } catch (error) {
    throw new RedisFailure(`Redis: ${causeOf(error)}`)
  } finally {
    clearTimeout(timer)
    close()
  }
}
