/** Writes the states of back ends into Redis for operators. Each order is one step in Redis, so that two operators see each other. */
import { MuxError } from '../../errors.ts'
import type { BackendStateOrder, BackendStateResult } from '../directory.ts'
import { backendKey, readStoredState } from './backend-state.ts'
import type { RedisClient } from './client.ts'
import { BadAnswer, causeOf } from './errors.ts'

/**
 * Sets the state, unless the back end has it already, or another operator drains it over another time or with other orders for its users.
 * KEYS: the hash of the back end. ARGV: state, over (empty: none), by, since, 1 to take the place of another drain, 1 to reassign its users
 * (empty: no).
 */
export const SET_STATE = `
local held = redis.call('HMGET', KEYS[1], 'state', 'over', 'by', 'since', 'reassign')
local same = (held[5] == '1') == (ARGV[6] == '1')
if held[1] == ARGV[1] and (held[2] or '') == ARGV[2] and same then return {'unchanged'} end
if held[1] == 'drain' and ARGV[1] == 'drain' and held[3] ~= ARGV[3] and ARGV[5] ~= '1' then
  return {'held', held[2] or '', held[3] or '', held[4] or ''}
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'by', ARGV[3], 'since', ARGV[4])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'over', ARGV[2]) end
if ARGV[6] == '1' then redis.call('HSET', KEYS[1], 'reassign', '1') end
return {'changed'}
`

/** Removes the state. KEYS: the hash of the back end. */
export const RESET_STATE = `
if redis.call('DEL', KEYS[1]) == 1 then return {'changed'} end
return {'unchanged'}
`

export type StateWriter = (backend: string, order: BackendStateOrder | undefined) => Promise<BackendStateResult>

/** @param nowMs the wall clock, which the operators of other machines read. @returns see `Directory.setBackendState` */
export function createStateWriter(redis: Pick<RedisClient, 'eval'>, prefix: string, nowMs: () => number): StateWriter {
  return async (backend, order) => {
    const keys = [backendKey(prefix, backend)]
    try {
      if (!order) return toResult(await redis.eval(RESET_STATE, keys))
      const { state, over, by, isForced, reassign } = order
      const read = readStoredState([state, over ?? null])
      if (read && 'wrong' in read) return { result: 'wrong', why: read.wrong }
      const since = String(Math.floor(nowMs() / 1000))
      const values = [state, over ?? '', by, since, isForced ? '1' : '0', reassign ? '1' : '']
      return toResult(await redis.eval(SET_STATE, keys, ...values))
    } catch (error) {
      if (error instanceof Error && error.message.includes('WRONGTYPE'))
        return { result: 'wrong', why: `the key ${keys.join()} in Redis is not a hash` }
      throw new MuxError('directory-unavailable', `Redis: ${causeOf(error)}`, error)
    }
  }
}

/** @throws BadAnswer */
function toResult(answer: unknown): BackendStateResult {
  const words: unknown[] = Array.isArray(answer) ? answer : []
  const [result, over, by, since] = words
  if (result === 'changed' || result === 'unchanged') return { result }
  if (result !== 'held') throw new BadAnswer('the script of a state was answered in another form')
  return { result, over: textOf(over), by: textOf(by), sinceMs: secondsOf(since) }
}

/** Longer than what mailmux writes. Another program may have written the hash. */
const MAX_TEXT_LENGTH = 200

function textOf(field: unknown): string | undefined {
  return typeof field === 'string' && field !== '' ? field.slice(0, MAX_TEXT_LENGTH) : undefined
}

function secondsOf(field: unknown): number | undefined {
  return typeof field === 'string' && /^\d{1,11}$/u.test(field) ? Number(field) * 1000 : undefined
}
