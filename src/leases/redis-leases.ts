/**
 * The parts of limits in Redis: `<prefix>lease:<limit>:<back end>` is a hash with one field for each instance. One script with one key
 * renews the part of an instance, so that a Cluster may keep the keys on different nodes.
 */
import type { RedisClient } from '../directory/redis/client.ts'
import { RedisFailure } from '../directory/redis/errors.ts'
import type { LeaseKey } from './lessor.ts'
import { LEASE_MS, type LeaseGrant, type LeaseStore } from './site-leases.ts'

/** After the loss of Redis's data every instance writes its part again within this time, and no part grows. Two renewals are as long. */
const SETTLE_MS = 2500

/**
 * Writes the part of one instance and adds what is free, up to what it wants. A field is `number until held used need`: the number of the
 * request, by which one that arrives late is recognised, and the time when the part expires. A time in the future is from before a
 * step of the clock. If the hash is empty and the instance holds a part or has had one, Redis has lost its data: nothing grows for a while.
 * KEYS: the hash. ARGV: instance, number, milliseconds of a part, milliseconds without growth, limit, held, want, used, need, and 1 if
 * the instance has had a part.
 * Returns what is granted, the time in milliseconds, and of each other instance its name, what it uses and what it needs.
 */
export const RENEW = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local life, limit, held, want = tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local taken, settling, answer = 0, false, {}
for i = 1, #all, 2 do
  local number, untilMs, has, used, need = string.match(all[i + 1], '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if not number or tonumber(untilMs) <= now or tonumber(untilMs) > now + life then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] == '*' then
    settling = true
  elseif all[i] == ARGV[1] then
    if tonumber(number) >= tonumber(ARGV[2]) then return redis.error_reply('LATE request') end
  else
    taken = taken + tonumber(has)
    answer[#answer + 1] = all[i]
    answer[#answer + 1] = used
    answer[#answer + 1] = need
  end
end
local function write(field, number, ms, has, used, need)
  redis.call('HSET', KEYS[1], field, string.format('%s %.0f %s %s %s', number, now + ms, has, used, need))
end
if #all == 0 and (held > 0 or ARGV[10] == '1') then
  settling = true
  write('*', '0', tonumber(ARGV[4]), '0', '0', '0')
end
local granted = held
if want > held and not settling then granted = held + math.max(0, math.min(want - held, limit - taken - held)) end
write(ARGV[1], ARGV[2], life, string.format('%.0f', granted), ARGV[8], ARGV[9])
redis.call('PEXPIRE', KEYS[1], 2 * life)
return {granted, string.format('%.0f', now), answer}
`

/** Removes the part of an instance. KEYS: the hash. ARGV: instance. */
export const LEAVE = `return redis.call('HDEL', KEYS[1], ARGV[1])`

/** @param id of this instance, unique for each process */
export function createRedisLeases(redis: Pick<RedisClient, 'eval'>, prefix: string, id: string): LeaseStore {
  let number = 0
  const keyOf = (key: LeaseKey): string => `${prefix}lease:${key.replace(' ', ':')}`
  return {
    async renew(key, { limit, held, want, used, need, again }) {
      const values = [++number, LEASE_MS, SETTLE_MS, limit, held, want, used, need, again ? 1 : 0].map(String)
      return readGrant(await redis.eval(RENEW, [keyOf(key)], id, ...values))
    },
    async leave(keys) {
      await Promise.allSettled([...keys].map((key) => redis.eval(LEAVE, [keyOf(key)], id)))
    },
  }
}

/** @throws RedisFailure if the answer has another form */
function readGrant(answer: unknown): LeaseGrant {
  const [granted, now, rows] = Array.isArray(answer) ? (answer as unknown[]) : []
  const nowMs = Number(now)
  if (typeof granted !== 'number' || !Number.isFinite(nowMs) || !Array.isArray(rows))
    throw new RedisFailure('the script of the leases was answered in another form')
  const others: { id: string; used: number; need: number }[] = []
  for (let index = 0; index + 2 < rows.length; index += 3)
    others.push({ id: String(rows[index]), used: Number(rows[index + 1]), need: Number(rows[index + 2]) })
  return { granted, nowMs, others }
}
