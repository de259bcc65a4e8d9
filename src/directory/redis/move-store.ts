/**
 * The hold on one user while a move copies that user's mailbox, and the switch of the route, in Redis.
 *
 * The user's hash gets `status hold`, `hold <token> <unix seconds>` and `hold_by <who> <unix seconds>`. The token says which move holds
 * the user. After the time in `hold` the hold has no effect and the route is the old one, so that a move that was killed leaves nothing
 * that must be repaired. All times are of Redis's clock. Instances compare the time in `hold` with their own clock, and a hold is renewed
 * while at least half of its time is left: clocks may differ by that half.
 *
 * Each script is one step in Redis and uses one key, so that it runs in a Cluster too. It may run late, after the caller has timed out,
 * and running it twice changes nothing more: each compares the token first.
 */
import { MuxError } from '../../errors.ts'
import type { RedisClient } from './client.ts'
import { BadAnswer, causeOf } from './errors.ts'

/**
 * What a user's hash holds. `hold` is one that has not expired, of a move or of an operator (`by` undefined), which has no end. With an
 * expired hold the status counts as active.
 */
export type UserRecord = {
  backend: string | undefined
  status: string | undefined
  hold: { by: string | undefined; sinceSeconds: number | undefined } | undefined
}

export type Taken =
  | { kind: 'taken' }
  /** there is no such user */
  | { kind: 'unknown' }
  | { kind: 'elsewhere'; backend: string }
  /** a status that is neither `active` nor `hold`, such as `disabled` */
  | { kind: 'status'; status: string }
  /** by another move, or by an operator (`by` undefined), whose hold has no end */
  | { kind: 'held'; by: string | undefined; sinceSeconds: number | undefined }

export type Switched =
  | { kind: 'switched' }
  /** the hold is not this move's any more; the back end that the route names now */
  | { kind: 'lost'; backend: string | undefined }

/** Each method throws MuxError `directory-unavailable`; the script may then run later nevertheless. */
export type MoveStore = {
  /** Puts the user on hold if the route names `from`. A second call with the same token renews the hold. */
  take(user: string, from: string, token: string, by: string, forSeconds: number): Promise<Taken>
  /** @returns false if the hold is not this move's any more */
  renew(user: string, token: string, forSeconds: number): Promise<boolean>
  /** Compare-and-set of the route; it ends the hold. */
  switch(user: string, token: string, from: string, to: string): Promise<Switched>
  /** Ends the hold, if it is this move's. After the answer no late `switch` of this token can take effect. @returns the back end of the route */
  release(user: string, token: string): Promise<string | undefined>
  read(user: string): Promise<UserRecord>
}

/** Beginning of each script. `left`: the seconds that the hold of a move still has, 0 or less if there is none. */
const READ = `
local now = tonumber(redis.call('TIME')[1])
local f = redis.call('HMGET', KEYS[1], 'backend', 'status', 'hold', 'hold_by')
local token, till = string.match(f[3] or '', '^(%S+) (%d+)$')
local left = 0
if f[2] == 'hold' and till then left = tonumber(till) - now end
`

/** KEYS: route. ARGV: from, token, by, seconds. */
const TAKE = `${READ}
if not f[1] then return {'unknown'} end
if f[2] == 'hold' and not till then return {'held', false} end
if left > 0 and token ~= ARGV[2] then return {'held', f[4]} end
if f[2] and f[2] ~= 'hold' and f[2] ~= 'active' then return {'status', f[2]} end
if f[1] ~= ARGV[1] then return {'elsewhere', f[1]} end
local since = string.match(f[4] or '', ' (%d+)$')
if left <= 0 or not since then since = string.format('%d', now) end
redis.call('HSET', KEYS[1], 'status', 'hold', 'hold', ARGV[2] .. ' ' .. string.format('%d', now + ARGV[4]),
  'hold_by', ARGV[3] .. ' ' .. since)
return {'taken'}
`

/** KEYS: route. ARGV: token, seconds. */
const RENEW = `${READ}
if left <= 0 or token ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'hold', ARGV[1] .. ' ' .. string.format('%d', now + ARGV[2]))
return 1
`

/** KEYS: route. ARGV: token, from, to. */
const SWITCH = `${READ}
if left <= 0 or token ~= ARGV[1] or f[1] ~= ARGV[2] then return {'lost', f[1]} end
redis.call('HSET', KEYS[1], 'backend', ARGV[3])
redis.call('HDEL', KEYS[1], 'status', 'hold', 'hold_by')
return {'switched'}
`

/** Compares the token of an expired hold too: it is still this move's to remove. KEYS: route. ARGV: token. */
const RELEASE = `${READ}
if token == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'hold', 'hold_by')
  if f[2] == 'hold' then redis.call('HDEL', KEYS[1], 'status') end
end
return {f[1]}
`

const LOOK = `${READ}
return {f[1], f[2], f[2] == 'hold' and (left > 0 or not till) and (till and f[4] or '') or false}
`

/** @param prefix before the name of every key */
export function createMoveStore(redis: Pick<RedisClient, 'eval'>, prefix: string): MoveStore {
  async function ask<T>(
    script: string,
    user: string,
    values: readonly string[],
    read: (answer: unknown) => T,
  ): Promise<T> {
    try {
      return read(await redis.eval(script, [`${prefix}user:${user}`], ...values))
    } catch (error) {
      throw new MuxError('directory-unavailable', `Redis: ${causeOf(error)}`, error)
    }
  }
  return {
    take: (user, from, token, by, forSeconds) => ask(TAKE, user, [from, token, by, String(forSeconds)], readTaken),
    renew: (user, token, forSeconds) => ask(RENEW, user, [token, String(forSeconds)], readFlag),
    switch: (user, token, from, to) => ask(SWITCH, user, [token, from, to], readSwitched),
    release: (user, token) => ask(RELEASE, user, [token], (answer) => readWords(answer)[0]),
    read: (user) => ask(LOOK, user, [], readRecord),
  }
}

/** The words of an answer; undefined for each that the hash lacks. */
function readWords(answer: unknown): (string | undefined)[] {
  if (!Array.isArray(answer)) throw badAnswer()
  const words: unknown[] = answer
  return words.map((word) => {
    if (word === null || word === false) return undefined
    if (typeof word === 'string') return word
    if (typeof word === 'number') return String(word)
    throw badAnswer()
  })
}

function readTaken(answer: unknown): Taken {
  const [kind, word] = readWords(answer)
  if (kind === 'taken' || kind === 'unknown') return { kind }
  if (kind === 'status' && word !== undefined) return { kind, status: word.slice(0, 40) }
  if (kind === 'held') return { kind, ...readHolder(word) }
  if (kind === 'elsewhere' && word !== undefined) return { kind, backend: word }
  throw badAnswer()
}

function readSwitched(answer: unknown): Switched {
  const [kind, backend] = readWords(answer)
  if (kind === 'switched') return { kind }
  if (kind === 'lost') return { kind, backend }
  throw badAnswer()
}

function readFlag(answer: unknown): boolean {
  if (answer !== 0 && answer !== 1) throw badAnswer()
  return answer === 1
}

function readRecord(answer: unknown): UserRecord {
  const [backend, status, holder] = readWords(answer)
  const hold = holder === undefined ? undefined : readHolder(holder === '' ? undefined : holder)
  return { backend, status: status === 'hold' && !hold ? undefined : status, hold }
}

/** `<who> <unix seconds>`. Bounded, because other programs write to the hash. */
function readHolder(text: string | undefined): { by: string | undefined; sinceSeconds: number | undefined } {
  if (text === undefined) return { by: undefined, sinceSeconds: undefined }
  const [, by = text, since] = /^(.*) (\d{1,12})$/su.exec(text) ?? []
  return { by: by.slice(0, 100), sinceSeconds: since === undefined ? undefined : Number(since) }
}

const badAnswer = (): BadAnswer => new BadAnswer('a script of a move was answered in another form')
