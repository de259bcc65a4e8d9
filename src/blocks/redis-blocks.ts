/** The blocks in Redis: the hash `<prefix>blocks`, with a field for each, `address 192.0.2.7` or `user alice@example.test`. */
import type { RedisClient } from '../directory/redis/client.ts'
import { RedisFailure } from '../directory/redis/errors.ts'
import { blockFacts, isAddressTarget, type Block } from './block.ts'
import { MOST_BLOCKS, type BlockStore } from './blocks.ts'

/** Writes a block unless there are too many. KEYS: the hash. ARGV: field, value, the largest number. */
const ADD = `
if not redis.call('HMGET', KEYS[1], ARGV[1])[1] and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
`

/** Returns all fields and values. KEYS: the hash. */
const LIST = `return redis.call('HGETALL', KEYS[1])`

/** Removes blocks. KEYS: the hash. ARGV: fields. Returns their number. */
const REMOVE = `return redis.call('HDEL', KEYS[1], unpack(ARGV))`

/** Lua passes so many arguments at once. */
const MOST_REMOVED = 1000

export function createRedisBlocks(redis: Pick<RedisClient, 'eval'>, prefix: string): BlockStore {
  const keys = [`${prefix}blocks`]
  return {
    async add({ kind, target, ...facts }) {
      const value = JSON.stringify(facts)
      return (await redis.eval(ADD, keys, `${kind} ${target}`, value, String(MOST_BLOCKS))) === 1
    },
    async list() {
      const answer = await redis.eval(LIST, keys)
      if (!Array.isArray(answer)) throw new RedisFailure('the script of the blocks was answered in another form')
      const words = (answer as unknown[]).map(String)
      const blocks: Block[] = []
      for (let index = 0; index + 1 < words.length; index += 2) {
        const block = readBlock(words[index] ?? '', words[index + 1] ?? '')
        if (block) blocks.push(block)
      }
      return blocks
    },
    async remove(targets) {
      const fields = targets.slice(0, MOST_REMOVED).map(({ kind, target }) => `${kind} ${target}`)
      return fields.length === 0 ? 0 : Number(await redis.eval(REMOVE, keys, ...fields))
    },
  }
}

/** @returns undefined for what mailmux has not written */
function readBlock(field: string, value: string): Block | undefined {
  const [, kind, target] = /^(address|user) (\S{1,400})$/u.exec(field) ?? []
  const facts = blockFacts.safeParse(parseJson(value))
  if ((kind !== 'address' && kind !== 'user') || target === undefined || !facts.success) return undefined
  if (kind === 'address' && !isAddressTarget(target)) return undefined
  return { kind, target, ...facts.data, untilMs: facts.data.untilMs }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
