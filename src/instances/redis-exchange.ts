/**
 * The exchange in Redis.
 *
 * `<prefix>instance:<id>` is the heartbeat of one instance, a string that expires. `<prefix>instances` is the list of their names: a
 * sorted set whose scores are the seconds of the last heartbeat, by Redis's own clock. It is a list because SCAN would walk over every
 * user's key, and because the names of instances that are cut off must outlive their heartbeats. Each heartbeat removes from it the
 * members that are gone. Each command and script has one key, so that a Cluster may keep the keys on different nodes.
 *
 * Questions are published to `<prefix>ask`, answers to `<prefix>answer:<name>`. Databases of one Redis share its channels: outside of
 * database 0 its number is part of the name, so that sites with the same prefix do not answer each other.
 */
import type { RedisSettings } from '../config/settings.ts'
import { openRedisClient } from '../directory/redis/client.ts'
import type { CurrentSettings } from '../directory/redis/connection.ts'
import { RedisFailure } from '../directory/redis/errors.ts'
import type { NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'
import {
  HEARTBEAT_SECONDS,
  isInstanceName,
  LOST_SECONDS,
  MAX_MEMBERS,
  splitName,
  type Exchange,
  type ExchangeListener,
  type Member,
  type OpenExchange,
  type Step,
} from './exchange.ts'
import { openSubscription } from './redis-subscription.ts'

/**
 * Notes a heartbeat and returns the number of instances that have one. A score in the future is from before a step of the clock, or of
 * another node that was the master. KEYS: list. ARGV: name, seconds of a heartbeat, seconds of a lost member.
 */
const BEAT = `
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[3]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + tonumber(ARGV[2]), '+inf')
redis.call('ZADD', KEYS[1], now, ARGV[1])
return redis.call('ZCOUNT', KEYS[1], '(' .. (now - tonumber(ARGV[2])), '+inf')
`

/** Returns the time and the names with their scores, the youngest first. KEYS: list. ARGV: the largest number of names. */
const LIST = `
local now = redis.call('TIME')[1]
return {now, redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[1])}
`

/** Removes a name. KEYS: list. ARGV: name. */
const LEAVE = `return redis.call('ZREM', KEYS[1], ARGV[1])`

export type RedisExchangeParts = {
  settings: RedisSettings
  /** the same settings with the current passwords and keys */
  current: CurrentSettings
  log: Log
  noteShortage: NoteShortage
}

/** @returns opens it, in the background. Redis's absence is reported to the listener, and nowhere else */
export function redisExchange(parts: RedisExchangeParts): OpenExchange {
  return (name, listener) => openRedisExchange(name, listener, parts)
}

function openRedisExchange(
  name: string,
  listener: ExchangeListener,
  { settings, current, log, noteShortage }: RedisExchangeParts,
): Exchange {
  const { prefix, servers } = settings
  const suffix = servers.kind === 'single' && servers.database !== 0 ? `:${servers.database}` : ''
  const askChannel = `${prefix}ask${suffix}`
  const answerChannel = (to: string): string => `${prefix}answer:${to}`
  const list = `${prefix}instances`
  const heartbeat = (of: string): string => `${prefix}instance:${splitName(of).id}`

  const redis = openRedisClient(settings, log, (connected) => connected && listener.onConnected(), {
    current,
    noteShortage,
    noteUnavailable: (cause) => listener.onResult('connection', cause),
  })
  const subscription = openSubscription(redis, {
    settings,
    current,
    channels: [askChannel, answerChannel(name)],
    onMessage: (channel, text) => (channel === askChannel ? listener.onQuestion(text) : listener.onAnswer(text)),
    onListening() {
      listener.onResult('subscribe', undefined)
      listener.onListening()
    },
    onRefused: (cause) => listener.onResult('subscribe', cause),
  })

  /** An error that is no reply of Redis is of the connection, which reports itself. */
  async function run<T>(step: Step, command: () => Promise<T>): Promise<T> {
    try {
      const result = await command()
      listener.onResult('connection', undefined)
      listener.onResult(step, undefined)
      return result
    } catch (error) {
      const cause = error instanceof Error ? error.message : 'unknown'
      if (error instanceof RedisFailure && error.isAnswer) listener.onResult(step, cause)
      throw new Error(`Redis: ${cause}`)
    }
  }

  return {
    beat: (text) =>
      run('heartbeat', async () => {
        await redis.setForSeconds(heartbeat(name), text, HEARTBEAT_SECONDS)
        const count = await redis.eval(BEAT, [list], name, String(HEARTBEAT_SECONDS), String(LOST_SECONDS))
        return typeof count === 'number' ? count : 1
      }),
    leave: () =>
      run('heartbeat', async () => {
        await Promise.all([redis.del(heartbeat(name)), redis.eval(LEAVE, [list], name)])
      }),
    members: () => run('list', async () => readMembers(await redis.eval(LIST, [list], String(MAX_MEMBERS)))),
    heartbeatOf: (of) => run('read', async () => (await redis.get(heartbeat(of))) ?? undefined),
    ask: (text) => run('publish', () => redis.publish(askChannel, text)),
    answer: (to, text) => run('publish', () => redis.publish(answerChannel(to), text)),
    close() {
      subscription.close()
      redis.close()
    },
  }
}

/** @param answer of LIST. A name of another form is left out: each client of Redis with the right to write can add one. */
function readMembers(answer: unknown): Member[] {
  const parts: unknown[] = Array.isArray(answer) ? answer : []
  const [now, entries] = parts
  if (typeof now !== 'string' || !Array.isArray(entries))
    throw new RedisFailure('the list of instances has another form')
  const members: Member[] = []
  for (let index = 0; index + 1 < entries.length; index += 2) {
    const name: unknown = entries[index]
    const age = Number(now) - Number(entries[index + 1])
    if (typeof name === 'string' && isInstanceName(name) && Number.isFinite(age))
      members.push({ name, ageSeconds: Math.max(0, age) })
  }
  return members
}
