/** Routes in Redis: one hash a user. Fails closed; nothing that it reads is trusted (see also the router). */
import { MuxError, systemCode } from '../errors.ts'
import type { DirectoryEntry } from './directory.ts'
import type { RedisClient } from './redis-client.ts'
import { RouteInvalid } from './route-invalid.ts'
import { noteAnswer, type Trace } from './trace.ts'

/** The store itself, asked each time. */
export type RouteStore = {
  /** @throws MuxError `directory-unavailable`, `route-invalid` */
  read(user: string, trace?: Trace): Promise<DirectoryEntry | undefined>
}

/** @param prefix before the name of every key */
export function createRedisDirectory(redis: Pick<RedisClient, 'hmget'>, prefix: string): RouteStore {
  async function readKey(key: string): Promise<DirectoryEntry | undefined> {
    let fields: (string | null)[]
    try {
      fields = await redis.hmget(key, 'backend', 'login', 'status')
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('WRONGTYPE')) {
        throw new RouteInvalid('wrong-type', 'the route in the directory is not a hash', error)
      }
      throw new MuxError('directory-unavailable', `directory lookup failed: ${systemCode(error)}`, error)
    }
    return toEntry(fields)
  }

  return {
    read(user, trace) {
      const key = `${prefix}user:${user}`
      return trace ? noteAnswer(trace, key, readKey(key)) : readKey(key)
    },
  }
}

/** No honest field is longer than the longest mailbox name; one that is would only be carried about, and remembered. */
const MAX_FIELD_LENGTH = 320

/** @throws RouteInvalid */
function toEntry([backend = null, login = null, status = null]: readonly (string | null)[]):
  DirectoryEntry | undefined {
  if (backend === null && login === null && status === null) return undefined
  for (const [name, value] of Object.entries({ backend, login, status })) {
    if (value === null || value.length <= MAX_FIELD_LENGTH) continue
    throw new RouteInvalid('oversized', `the ${name} of the route has ${value.length} characters`)
  }
  const state = status ?? 'active'
  if (state !== 'active' && state !== 'hold' && state !== 'disabled') {
    throw new RouteInvalid('bad-status', `the directory holds an unknown status ${JSON.stringify(state.slice(0, 40))}`)
  }
  if (backend === null) throw new RouteInvalid('no-backend', 'the route in the directory names no back end')
  return { backend, login: login ?? undefined, status: state }
}
