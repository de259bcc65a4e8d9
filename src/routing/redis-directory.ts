/** Routes in Redis: one hash a user. Fails closed; nothing that it reads is trusted (see also the router). */
import { MuxError, systemCode } from '../errors.ts'
import type { DirectoryEntry } from './directory.ts'
import type { RedisClient } from './redis-client.ts'
import { RouteInvalid } from './route-invalid.ts'
import { CLAIM, claimKey, SETTLE } from './redis-placement.ts'
import { noteAnswer, type Trace } from './trace.ts'

/** What a new user may count on: a route that is there by now, or a back end that is kept for a time. */
export type Claim = { entry: DirectoryEntry } | { kept: string }

/** The store itself, asked each time. */
export type RouteStore = {
  /** @throws MuxError `directory-unavailable`, `route-invalid` */
  read(user: string, trace?: Trace): Promise<DirectoryEntry | undefined>
  /** See `Directory.place`: the route, or the back end that is kept. @throws as `read` */
  claim(user: string, backend: string, forMs: number): Promise<Claim>
  /** See `Directory.settle`. @returns whether the route of the user is this back end now. @throws as `read` */
  settle(user: string, backend: string): Promise<boolean>
}

/** @param prefix before the name of every key */
export function createRedisDirectory(redis: Pick<RedisClient, 'hmget' | 'eval'>, prefix: string): RouteStore {
  const routeKey = (user: string): string => `${prefix}user:${user}`
  const bothKeys = (user: string): string[] => [routeKey(user), claimKey(prefix, user, routeKey(user))]

  async function ask<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await command()
    } catch (error) {
      // Redis 6 puts words of its own before the error of a command in a script.
      if (error instanceof Error && error.message.includes('WRONGTYPE')) {
        throw new RouteInvalid('wrong-type', 'the route in the directory is not a hash', error)
      }
      throw new MuxError('directory-unavailable', `directory lookup failed: ${systemCode(error)}`, error)
    }
  }

  async function readKey(key: string): Promise<DirectoryEntry | undefined> {
    return toEntry(await ask(() => redis.hmget(key, 'backend', 'login', 'status')))
  }

  return {
    read(user, trace) {
      const route = routeKey(user)
      return trace ? noteAnswer(trace, route, readKey(route)) : readKey(route)
    },
    async claim(user, backend, forMs) {
      return toClaim(await ask(() => redis.eval(CLAIM, bothKeys(user), backend, String(Math.ceil(forMs)))))
    },
    async settle(user, backend) {
      return (await ask(() => redis.eval(SETTLE, bothKeys(user), backend))) === 1
    },
  }
}

/** @param answer of CLAIM. @throws MuxError `route-invalid`; `directory-unavailable` where it is none */
function toClaim(answer: unknown): Claim {
  const words: unknown[] = Array.isArray(answer) ? answer : []
  const [kind, ...fields] = words.map((word) => (typeof word === 'string' ? word : null))
  if (kind === 'kept' && typeof fields[0] === 'string') return { kept: fields[0] }
  const entry = kind === 'route' ? toEntry(fields) : undefined
  if (!entry) throw new MuxError('directory-unavailable', 'the directory gives no answer that makes sense')
  return { entry }
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
