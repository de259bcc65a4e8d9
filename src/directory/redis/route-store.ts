/** Routes in Redis: one hash for each user. Errors fail closed, and each value that it reads is checked (see also the router). */
import { MuxError } from '../../errors.ts'
import type { RedisClient } from './client.ts'
import { BACKEND_STATE_FIELDS, backendKey, readStoredState, type StoredState } from './backend-state.ts'
import { BadAnswer, causeOf } from './errors.ts'
import { RESERVE, claimKey, COMMIT } from './claims.ts'
import { REASSIGN } from './reassign.ts'
import type { DirectoryEntry, Hold } from '../entry.ts'
import { RouteInvalid } from '../errors.ts'

/** The answer to a reservation: the route, if one exists by now, or the back end that is reserved for a time. */
export type Reservation = { entry: DirectoryEntry } | { kept: string }

export type Reassigned = { entry: DirectoryEntry; isChanged: boolean }

/** The store itself. Each call asks Redis. */
export type RouteStore = {
  /** The key of a user's route. */
  keyOf(user: string): string
  /** @throws MuxError `directory-unavailable`, `route-invalid` */
  read(user: string): Promise<DirectoryEntry | undefined>
  /** See `Directory.reserve`. @returns the route, or the reserved back end. @throws as `read` */
  reserve(user: string, backend: string, forMs: number): Promise<Reservation>
  /** See `Directory.commit`. @returns whether this back end is the user's route now. @throws as `read` */
  commit(user: string, backend: string): Promise<boolean>
  /** See `Directory.reassign`. @returns the route, and whether this call has changed it; undefined if there is none. @throws as `read` */
  reassign(user: string, from: string, to: string): Promise<Reassigned | undefined>
  /** The state of a back end, and its key. @throws MuxError `directory-unavailable` */
  backendState(backend: string): Promise<{ key: string; state: StoredState | { wrong: string } | undefined }>
}

/**
 * @param prefix before the name of every key
 * @param noteBadAnswer called for each reply that Redis cannot give
 */
export function createRedisDirectory(
  redis: Pick<RedisClient, 'hmget' | 'exists' | 'eval'>,
  prefix: string,
  noteBadAnswer: (detail: string) => void,
): RouteStore {
  const routeKey = (user: string): string => `${prefix}user:${user}`
  const bothKeys = (user: string): string[] => [routeKey(user), claimKey(prefix, user, routeKey(user))]

  async function ask<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await command()
    } catch (error) {
      if (error instanceof RouteInvalid) throw error
      // Redis 6 puts a prefix before the error of a command in a script.
      if (error instanceof Error && error.message.includes('WRONGTYPE')) {
        throw new RouteInvalid('wrong-type', 'the route in the directory is not a hash', error)
      }
      if (error instanceof BadAnswer) noteBadAnswer(error.message)
      throw new MuxError('directory-unavailable', `Redis: ${causeOf(error)}`, error)
    }
  }

  const readFields = async (key: string): Promise<DirectoryEntry | undefined> =>
    toEntry(await redis.hmget(key, 'backend', 'login', 'status', 'hold'))

  async function readKey(key: string): Promise<DirectoryEntry | undefined> {
    const entry = await readFields(key)
    if (entry || !(await redis.exists(key))) return entry
    // Read again: the key may have been written between the two commands.
    const again = await readFields(key)
    if (again) return again
    throw new RouteInvalid('no-backend', 'the hash in the directory has no field "backend"')
  }

  return {
    keyOf: routeKey,
    read: (user) => ask(() => readKey(routeKey(user))),
    async reserve(user, backend, forMs) {
      return ask(async () =>
        toReservation(await redis.eval(RESERVE, bothKeys(user), backend, String(Math.ceil(forMs)))),
      )
    },
    async reassign(user, from, to) {
      return ask(async () => toReassigned(await redis.eval(REASSIGN, [routeKey(user)], from, to)))
    },
    async backendState(backend) {
      const key = backendKey(prefix, backend)
      try {
        return { key, state: readStoredState(await ask(() => redis.hmget(key, ...BACKEND_STATE_FIELDS))) }
      } catch (error) {
        if (error instanceof RouteInvalid) return { key, state: { wrong: 'the key is not a hash' } }
        throw error
      }
    },
    async commit(user, backend) {
      return ask(async () => {
        const answer = await redis.eval(COMMIT, bothKeys(user), backend)
        if (answer !== 0 && answer !== 1) throw new BadAnswer('the script of a settlement was answered in another form')
        return answer === 1
      })
    },
  }
}

/** @param answer of RESERVE. @throws RouteInvalid; BadAnswer */
function toReservation(answer: unknown): Reservation {
  const words: unknown[] = Array.isArray(answer) ? answer : []
  const [kind, ...fields] = words
  const isField = (field: unknown): field is string | null => field === null || typeof field === 'string'
  if (!fields.every(isField)) throw badReservation()
  if (kind === 'kept' && typeof fields[0] === 'string') return { kept: fields[0] }
  if (kind !== 'route' || fields.length !== 4) throw badReservation()
  const entry = toEntry(fields)
  if (!entry) throw new RouteInvalid('no-backend', 'the hash in the directory has no field "backend"')
  return { entry }
}

const badReservation = (): BadAnswer => new BadAnswer('the script of a claim was answered in another form')

/** @param answer of REASSIGN. @throws RouteInvalid; BadAnswer */
function toReassigned(answer: unknown): Reassigned | undefined {
  const words: unknown[] = Array.isArray(answer) ? answer : []
  const [kind, ...fields] = words
  const isField = (field: unknown): field is string | null => field === null || typeof field === 'string'
  if ((kind !== 'changed' && kind !== 'kept') || fields.length !== 4 || !fields.every(isField))
    throw new BadAnswer('the script of a reassignment was answered in another form')
  const entry = toEntry(fields)
  return entry && { entry, isChanged: kind === 'changed' }
}

/** The longest mailbox name. A longer field cannot be valid, and must not take memory. */
const MAX_FIELD_LENGTH = 320

/** @throws RouteInvalid */
function toEntry([backend = null, login = null, status = null, hold = null]: readonly (string | null)[]):
  DirectoryEntry | undefined {
  if (backend === null && login === null && status === null) return undefined
  for (const [name, value] of Object.entries({ backend, login, status, hold })) {
    if (value === null || value.length <= MAX_FIELD_LENGTH) continue
    throw new RouteInvalid('oversized', `the ${name} of the route has ${value.length} characters`)
  }
  const state = status ?? 'active'
  if (state !== 'active' && state !== 'hold' && state !== 'disabled') {
    throw new RouteInvalid('bad-status', `the directory holds an unknown status ${JSON.stringify(state.slice(0, 40))}`)
  }
  if (backend === null) throw new RouteInvalid('no-backend', 'the route in the directory names no back end')
  const entry: DirectoryEntry = { backend, login: login ?? undefined, status: state }
  return state === 'hold' && hold !== null ? { ...entry, hold: toHold(hold) } : entry
}

/** @param text the token and the end, in seconds of the epoch. @throws RouteInvalid */
function toHold(text: string): Hold {
  const match = /^(?<token>[0-9a-f]{32}) (?<seconds>\d{1,11})$/u.exec(text)
  const { token, seconds } = match?.groups ?? {}
  if (token === undefined || seconds === undefined)
    throw new RouteInvalid('bad-status', `the directory holds an unknown hold ${JSON.stringify(text.slice(0, 40))}`)
  return { token, untilMs: Number(seconds) * 1000 }
}
