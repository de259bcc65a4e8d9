/**
 * Changes of single routes in Redis by operators. Each script is one step in Redis and uses one key, so that it runs in a Cluster too.
 * It may run late, after the caller has timed out, and running it twice changes nothing more.
 *
 * A user who is held by a move is not changed: the move compares the route before it switches it, and would fail. A hold that has run
 * out was left by a move that has ended; an order for the back end or the status removes it.
 */
import { BadAnswer } from './errors.ts'

/** The fields of a hash, as Redis has them. */
export type RawRoute = { backend: string | undefined; login: string | undefined; status: string | undefined }

/** A field that is undefined is kept. `login: null` and `status: 'active'` remove the field. */
export type RouteChange = {
  backend?: string | undefined
  login?: string | null | undefined
  status?: 'active' | 'hold' | 'disabled' | undefined
}

export type RouteWritten =
  | { kind: 'changed'; before: RawRoute | undefined; after: RawRoute }
  | { kind: 'unchanged'; after: RawRoute }
  /** by a move; `by` is who runs it, and since when */
  | { kind: 'held'; by: string | undefined }
  /** there is no route, and the order names no back end */
  | { kind: 'unknown' }

export type RouteRemoved =
  { kind: 'removed'; before: RawRoute } | { kind: 'held'; by: string | undefined } | { kind: 'unknown' }

/** Reads the fields; answers for a user whom a move holds. `isOver`: the hold of a move has run out. */
const READ = `
local now = tonumber(redis.call('TIME')[1])
local f = redis.call('HMGET', KEYS[1], 'backend', 'login', 'status', 'hold', 'hold_by')
local till = string.match(f[4] or '', '^%S+ (%d+)$')
local isOver = f[3] == 'hold' and till and tonumber(till) <= now
if f[3] == 'hold' and till and not isOver then return {'held', f[5]} end
`

/** KEYS: route. ARGV: back end, login behind an equals sign or a hyphen to remove it, status; an empty one is kept. */
export const SET_ROUTE = `${READ}
local backend, login, status = f[1], f[2], f[3]
if ARGV[1] ~= '' then backend = ARGV[1] end
if not backend then return {'unknown'} end
if ARGV[2] == '-' then login = false elseif ARGV[2] ~= '' then login = string.sub(ARGV[2], 2) end
if isOver and (ARGV[1] ~= '' or ARGV[3] ~= '') then status = false end
if ARGV[3] ~= '' then status = ARGV[3] end
if status == 'active' then status = false end
local stored = f[3]
if stored == 'active' then stored = false end
local ends = (f[4] or f[5]) and (status ~= 'hold' or ARGV[3] ~= '')
if backend == f[1] and login == f[2] and status == stored and not ends then
  return {'unchanged', backend, login, status}
end
redis.call('HSET', KEYS[1], 'backend', backend)
if login and login ~= f[2] then redis.call('HSET', KEYS[1], 'login', login) end
if f[2] and not login then redis.call('HDEL', KEYS[1], 'login') end
if status and status ~= f[3] then redis.call('HSET', KEYS[1], 'status', status) end
if f[3] and not status then redis.call('HDEL', KEYS[1], 'status') end
if ends then redis.call('HDEL', KEYS[1], 'hold', 'hold_by') end
return {'changed', backend, login, status, f[1], f[2], f[3]}
`

/** KEYS: route. */
export const REMOVE_ROUTE = `${READ}
if redis.call('DEL', KEYS[1]) == 0 then return {'unknown'} end
return {'removed', f[1], f[2], f[3]}
`

export function setArguments({ backend, login, status }: RouteChange): [string, string, string] {
  return [backend ?? '', login === undefined ? '' : login === null ? '-' : `=${login}`, status ?? '']
}

/** @throws BadAnswer */
export function readWritten(answer: unknown): RouteWritten {
  const [kind, ...words] = readWords(answer)
  if (kind === 'held') return { kind, by: readHolder(words[0]) }
  if (kind === 'unknown') return { kind }
  if (kind === 'unchanged') return { kind, after: toRoute(words) }
  if (kind !== 'changed') throw badAnswer()
  const before = toRoute(words.slice(3))
  const isNew = before.backend === undefined && before.login === undefined && before.status === undefined
  return { kind, after: toRoute(words), before: isNew ? undefined : before }
}

/** @throws BadAnswer */
export function readRemoved(answer: unknown): RouteRemoved {
  const [kind, ...words] = readWords(answer)
  if (kind === 'held') return { kind, by: readHolder(words[0]) }
  if (kind === 'unknown') return { kind }
  if (kind !== 'removed') throw badAnswer()
  return { kind, before: toRoute(words) }
}

/** Other programs write to the hash: what is shown of a field. */
const MOST_TEXT = 320

/** @param fields backend, login and status, as Redis gives them */
export function toRoute([backend, login, status]: readonly (string | null | undefined)[]): RawRoute {
  const bounded = (text: string | null | undefined): string | undefined => text?.slice(0, MOST_TEXT)
  return { backend: bounded(backend), login: bounded(login), status: bounded(status) }
}

/** Without the time behind the name. */
function readHolder(text: string | undefined): string | undefined {
  return text?.replace(/ \d{1,12}$/u, '').slice(0, 100)
}

function readWords(answer: unknown): (string | undefined)[] {
  if (!Array.isArray(answer)) throw badAnswer()
  const words: unknown[] = answer
  return words.map((word) => {
    if (word === null || word === false) return undefined
    if (typeof word === 'string') return word
    throw badAnswer()
  })
}

const badAnswer = (): BadAnswer => new BadAnswer('the script of a route was answered in another form')
