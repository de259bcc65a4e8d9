/**
 * The limits on clients in Redis. `<prefix>limit:<limit>:<protocol>:<subject>` is a hash with one field for each instance: how many it
 * holds, and when it has written that, in seconds. A rate is a string there: the time at which all that has happened would have happened
 * at the even pace, in microseconds. `<prefix>limit:instance:<id>` is a sign of an instance, by which it notices a loss of data.
 * The scripts take the keys that are in one slot, which are all of them outside of a Cluster. A key of another type, which no mailmux has
 * written, counts for nothing and is replaced: an error would end the use of Redis for all limits.
 */
import type { Rate } from '../config/settings.ts'
import type { RedisClient } from '../directory/redis/client.ts'
import { RedisFailure } from '../directory/redis/errors.ts'
import { slotOf } from '../directory/redis/slots.ts'
import type { SiteRefusal, SiteStore } from './site-store.ts'

/** The heartbeat of an instance. A field that is younger is of an instance that may have begun after the list was read. */
const HEARTBEAT_SECONDS = 15
/** Each field is written again in a third of this time, so that an older one is not valid, whatever has happened. */
const LIFE_SECONDS = 900
/** The sign of an instance outlives the longest outage after which the counts in Redis may still be used. */
const SIGN_SECONDS = 86_400
/** More members than a site has; the list is data that others can write. */
const MOST_MEMBERS = 1000

/** Runs a command on a key, after the removal of a key of another type. PEXPIRE removes it, since the user of mailmux needs that right anyway. */
const ON_KEY = `
local function on(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if string.find(answer.err, 'WRONGTYPE', 1, true) then redis.call('PEXPIRE', key, 0) end
  return redis.call(command, key, ...)
end
`

/** Returns the ids of the instances with a heartbeat. KEYS: their list. ARGV: seconds of a heartbeat, the largest number of names. */
const LOOK = `
local now = tonumber(redis.call('TIME')[1])
return redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. (now - tonumber(ARGV[1])), 'LIMIT', 0, ARGV[2])
`

/**
 * Takes one of each key, if all allow it. A field of an instance without a heartbeat is removed before the sum is made, once it is older
 * than a heartbeat lives. KEYS: hashes and rates. ARGV: instance, ids with a heartbeat, seconds of a heartbeat, seconds of a field, then
 * for each key: `c`, the limit, what the instance holds (-1: as it is written); or `r`, the count, its milliseconds.
 * No time is further ahead than a full burst: the clock of Redis may have been put back.
 * Returns 0, or the number of the key that does not allow it, and the microseconds until it does.
 */
export const TAKE = `${ON_KEY}local t = redis.call('TIME')
local seconds, now = tonumber(t[1]), tonumber(t[1]) * 1000000 + tonumber(t[2])
local beat, life, live = tonumber(ARGV[3]), tonumber(ARGV[4]), {}
for id in string.gmatch(ARGV[2], '%S+') do live[id] = true end
local new = {}
for i = 1, #KEYS do
  local kind, a, b = ARGV[3 * i + 2], tonumber(ARGV[3 * i + 3]), tonumber(ARGV[3 * i + 4])
  if kind == 'c' then
    local all, sum, mine = on('HGETALL', KEYS[i]), 0, 0
    for j = 1, #all, 2 do
      local count, at = string.match(all[j + 1], '^(%d+) (%d+)$')
      local age = seconds - (tonumber(at) or 0)
      if all[j] == ARGV[1] then
        mine = tonumber(count) or 0
      elseif not count or age > life or age < -life or (not live[all[j]] and age > beat) then
        redis.call('HDEL', KEYS[i], all[j])
      else
        sum = sum + tonumber(count)
      end
    end
    if b >= 0 then mine = b end
    if sum + mine + 1 > a then return {i, 0} end
    new[i] = string.format('%.0f %.0f', mine + 1, seconds)
  else
    local interval = b * 1000 / a
    local tat = math.min(math.max(now, tonumber(on('GET', KEYS[i]) or now) or now), now + interval * a)
    local wait = tat - interval * (a - 1) - now
    if wait > 0 then return {i, math.ceil(wait)} end
    new[i] = tat + interval
  end
end
for i = 1, #KEYS do
  if ARGV[3 * i + 2] == 'c' then
    redis.call('HSET', KEYS[i], ARGV[1], new[i])
    redis.call('PEXPIRE', KEYS[i], 1000 * life)
  else
    redis.call('SET', KEYS[i], string.format('%.0f', new[i]), 'PX', string.format('%.0f', math.ceil((new[i] - now) / 1000) + 1))
  end
end
return {0, 0}
`

/** Writes what an instance holds. KEYS: hashes. ARGV: instance, seconds of a field, then the count of each key. */
export const PUT = `${ON_KEY}local seconds = redis.call('TIME')[1]
for i = 1, #KEYS do
  if ARGV[i + 2] == '0' then
    on('HDEL', KEYS[i], ARGV[1])
  else
    on('HSET', KEYS[i], ARGV[1], ARGV[i + 2] .. ' ' .. seconds)
    redis.call('PEXPIRE', KEYS[i], 1000 * tonumber(ARGV[2]))
  end
end
`

/**
 * Notes one more of what has happened already, so that the even pace holds over all instances. The debt is bounded by twice the burst: an
 * address that has come too often is not kept out for longer. KEYS: rate. ARGV: the count, its milliseconds. Returns the microseconds
 * until the next one may happen.
 */
export const CHARGE = `${ON_KEY}local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local count = tonumber(ARGV[1])
local interval = tonumber(ARGV[2]) * 1000 / count
local tat = math.max(now, tonumber(on('GET', KEYS[1]) or now) or now)
tat = math.min(tat + interval, now + 2 * interval * count)
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', string.format('%.0f', math.ceil((tat - now) / 1000) + 1))
return math.max(0, math.ceil(tat - interval * (count - 1) - now))
`

type Client = Pick<RedisClient, 'eval' | 'get' | 'setForSeconds' | 'lookupServer'>

/** @param id of this instance, unique for each process */
export function createRedisLimits(redis: Client, prefix: string, id: string): SiteStore {
  const keyOf = (key: string): string => `${prefix}limit:${key.replace(' ', ':').replace(' ', ':')}`
  const sign = `${prefix}limit:instance:${id}`
  const isCluster = (): boolean => redis.lookupServer.kind === 'cluster'

  /** Parts whose keys are in one slot each. */
  function bySlot<T>(items: readonly T[], key: (item: T) => string): T[][] {
    if (!isCluster()) return [[...items]]
    return [...Map.groupBy(items, (item) => slotOf(key(item))).values()]
  }

  return {
    async look() {
      const [names, seen] = await Promise.all([
        redis.eval(LOOK, [`${prefix}instances`], String(HEARTBEAT_SECONDS), String(MOST_MEMBERS)),
        redis.get(sign),
      ])
      if (!Array.isArray(names)) throw new RedisFailure('the list of instances has another form')
      // A name is `<host>/<id>`; one of another form is no instance.
      const live = names.flatMap((name) =>
        typeof name === 'string' ? (/\/([\da-f]{12})$/u.exec(name)?.[1] ?? []) : [],
      )
      return { live, isKnown: seen !== null }
    },
    async enter() {
      const [counted, paced] = [`${sign}:{count}`, `${sign}:{rate}`]
      await Promise.all([
        redis.eval(TAKE, [counted], id, id, String(HEARTBEAT_SECONDS), '1', 'c', '1', '0'),
        redis.eval(PUT, [counted], id, '1', '0'),
        redis.eval(CHARGE, [paced], '1', '1'),
      ])
      await redis.setForSeconds(sign, '1', SIGN_SECONDS)
    },
    async take({ counts, rates }, live) {
      const claims = [
        ...counts.map(({ key, max, own }, index) => ({
          isCount: true,
          index,
          key: keyOf(key),
          values: ['c', max, own ?? -1],
        })),
        ...rates.map(({ key, rate }, index) => ({
          isCount: false,
          index,
          key: keyOf(key),
          values: ['r', rate.count, rate.perMs],
        })),
      ]
      const groups = bySlot(claims, ({ key }) => key)
      const shared = [id, live.join(' '), String(HEARTBEAT_SECONDS), String(LIFE_SECONDS)]
      const refusals = await Promise.all(
        groups.map(async (group): Promise<SiteRefusal | undefined> => {
          const values = group.flatMap((claim) => claim.values.map(String))
          const { number, waitMs } = readTaken(
            await redis.eval(
              TAKE,
              group.map(({ key }) => key),
              ...shared,
              ...values,
            ),
          )
          const refused = group[number - 1]
          return refused && { isCount: refused.isCount, index: refused.index, waitMs }
        }),
      )
      return { refusal: refusals.find((one) => one !== undefined), isTorn: groups.length > 1 }
    },
    async put(counts) {
      const groups = bySlot(counts, ([key]) => keyOf(key)).filter(({ length }) => length > 0)
      await Promise.all(
        groups.map((group) => {
          const keys = group.map(([key]) => keyOf(key))
          return redis.eval(PUT, keys, id, String(LIFE_SECONDS), ...group.map(([, count]) => String(count)))
        }),
      )
    },
    async charge(key, rate: Rate) {
      const waitUs = await redis.eval(CHARGE, [keyOf(key)], String(rate.count), String(rate.perMs))
      if (typeof waitUs !== 'number') throw new RedisFailure('the script of the rates was answered in another form')
      return waitUs / 1000
    },
  }
}

/** @throws RedisFailure if the answer has another form */
function readTaken(answer: unknown): { number: number; waitMs: number } {
  const [number, waitUs] = Array.isArray(answer) ? (answer as unknown[]) : []
  if (typeof number !== 'number' || typeof waitUs !== 'number')
    throw new RedisFailure('the script of the limits was answered in another form')
  return { number, waitMs: waitUs / 1000 }
}
