/**
 * Changes of routes in Redis by operators. Each script is one step in Redis. In a Cluster it gets keys of one slot. It may run late, after
 * the caller has timed out, and running it twice changes nothing more.
 *
 * The route of a user under a move is not changed: the move compares the route before it switches it, and would fail. A hold that has run
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
  /** the key is not a hash */
  | { kind: 'wrong-type' }

export type RouteRemoved =
  { kind: 'removed'; before: RawRoute } | { kind: 'held'; by: string | undefined } | { kind: 'unknown' }

/** Reads the fields of one route. `isHeld`: by a move; `isOver`: the hold of a move has run out. */
const READ = `
local now = tonumber(redis.call('TIME')[1])
local function read(key)
  local f = redis.pcall('HMGET', key, 'backend', 'login', 'status', 'hold', 'hold_by')
  if f.err then return f end
  local till = f[3] == 'hold' and f[4] and tonumber(string.match(f[4], '^%S+ (%d+)$'))
  return f, till and till > now, till and till <= now
end
`

/**
 * Sets any number of routes. KEYS: their routes. ARGV: 1 for brief answers, then for each key the back end, the login behind an equals sign
 * or a hyphen to remove it, and the status; an empty one is kept. Returns an answer for each key: its kind, and without `brief` the
 * fields after and before.
 */
export const SET_ROUTES = `${READ}
local function set(key, toBackend, toLogin, toStatus)
  local f, isHeld, isOver = read(key)
  if f.err then return {'wrong-type'} end
  if isHeld then return {'held', f[5]} end
  local backend, login, status = f[1], f[2], f[3]
  if toBackend ~= '' then backend = toBackend end
  if not backend then return {'unknown'} end
  if toLogin == '-' then login = false elseif toLogin ~= '' then login = string.sub(toLogin, 2) end
  if isOver and (toBackend ~= '' or toStatus ~= '') then status = false end
  if toStatus ~= '' then status = toStatus end
  if status == 'active' then status = false end
  local stored = f[3]
  if stored == 'active' then stored = false end
  local ends = (f[4] or f[5]) and (status ~= 'hold' or toStatus ~= '')
  if backend == f[1] and login == f[2] and status == stored and not ends then
    return {'unchanged', backend, login, status}
  end
  local fields = {'backend', backend}
  if login then fields[#fields + 1] = 'login'; fields[#fields + 1] = login end
  if status then fields[#fields + 1] = 'status'; fields[#fields + 1] = status end
  redis.call('HSET', key, unpack(fields))
  if f[2] and not login then redis.call('HDEL', key, 'login') end
  if f[3] and not status then redis.call('HDEL', key, 'status') end
  if ends then redis.call('HDEL', key, 'hold', 'hold_by') end
  return {'changed', backend, login, status, f[1], f[2], f[3]}
end
local answers = {}
for index, key in ipairs(KEYS) do
  local at = 3 * index - 1
  local answer = set(key, ARGV[at], ARGV[at + 1], ARGV[at + 2])
  if ARGV[1] == '1' then
    answer = answer[1] == 'changed' and not (answer[5] or answer[6] or answer[7]) and 'added' or answer[1]
  end
  answers[index] = answer
end
return answers
`

/** KEYS: route. */
export const REMOVE_ROUTE = `${READ}
local f, isHeld = read(KEYS[1])
if isHeld then return {'held', f[5]} end
if redis.call('DEL', KEYS[1]) == 0 then return {'unknown'} end
if f.err then return {'removed', false, false, false} end
return {'removed', f[1], f[2], f[3]}
`

/** @returns the kind of answer for each key, by a run of SET_ROUTES with brief answers. @throws BadAnswer */
export function readBrief(answer: unknown): BriefAnswer[] {
  const words: unknown[] = Array.isArray(answer) ? answer : []
  const isBrief = (word: unknown): word is BriefAnswer => BRIEF.some((one) => one === word)
  if (!words.every(isBrief)) throw badAnswer()
  return words
}

const BRIEF = ['added', 'changed', 'unchanged', 'held', 'wrong-type'] as const
export type BriefAnswer = (typeof BRIEF)[number]

export function setArguments({ backend, login, status }: RouteChange): [string, string, string] {
  return [backend ?? '', login === undefined ? '' : login === null ? '-' : `=${login}`, status ?? '']
}

/** @param answer of SET_ROUTES for one key. @throws BadAnswer */
export function readWritten(answer: unknown): RouteWritten {
  const answers: unknown[] = Array.isArray(answer) ? answer : []
  const [kind, ...words] = readWords(answers[0])
  if (kind === 'wrong-type') return { kind }
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
