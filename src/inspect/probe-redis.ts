/**
 * Whether Redis answers as mailmux needs it: login, data, eviction, rights. Connects as the program does, and writes nothing: of the
 * commands that write, Redis is sent a form that it refuses after it has checked the user's rights.
 */
import type { Redis } from 'ioredis'
import type { Endpoint, RedisSettings } from '../config/settings.ts'
import type { Log } from '../log.ts'
import { hostPort } from '../net/address.ts'
import { identify, openRedisClient, type LookupServer, type RedisClient } from '../directory/redis/client.ts'
import { connectRedis } from '../directory/redis/connection.ts'
import { causeOf, isForbidden, RedisFailure } from '../directory/redis/errors.ts'
import { partKeys } from '../directory/redis/slots.ts'
import { error, inTime, warning, type Told } from './findings.ts'

/** A look-up of a name takes up to 5 seconds, and a login up to 2 more. */
const CONNECT_MS = 7000
const ALL_MS = 9000

const LOST = 'docs/operations.md#when-redis-has-lost-its-data'

/**
 * @param isPlacing new users are placed, for which Redis needs more rights
 * @param note takes what is neither an error nor a warning
 */
export async function probeRedis(
  settings: RedisSettings,
  isPlacing: boolean,
  note: (text: string) => void = () => undefined,
): Promise<Told[]> {
  const told: Told[] = []
  const closers: (() => void)[] = []
  try {
    const examined = examine({ settings, isPlacing, tell: (one) => told.push(one), note, closers })
    await inTime(ALL_MS, examined, () => new RedisFailure('no answer in time'))
  } catch (thrown) {
    told.push(error(`directory-unavailable: Redis: ${causeOf(thrown)}`))
  } finally {
    for (const close of closers) close()
  }
  return [...told]
}

type Examination = {
  settings: RedisSettings
  isPlacing: boolean
  tell: (told: Told) => void
  note: (text: string) => void
  closers: (() => void)[]
}

async function examine(examination: Examination): Promise<void> {
  const { settings, tell, closers } = examination
  const refused = Promise.withResolvers<never>()
  let cause = 'no answer'
  const noteCause = (text: string): void => {
    cause = text
    // Sentinels and the nodes of a Cluster are asked in turn: one that refuses may be followed by one that answers.
    if (settings.servers.kind === 'single') refused.reject(new RedisFailure(text))
  }
  const redis = openRedisClient(settings, logOf(noteCause), () => undefined, {
    noteShortage: (_place, detail) => noteCause(`local-shortage: ${detail}`),
  })
  closers.push(() => redis.close())
  const masters =
    redis.lookupServer.kind === 'cluster' ? firstMasters(redis.lookupServer) : Promise.resolve([undefined])
  const connected = Promise.race([redis.connected, refused.promise])
  await inTime(CONNECT_MS, connected, () => new RedisFailure(cause))
  await readRoutes(redis, settings)
  await readMarker(redis, settings, tell)
  await Promise.all((await masters).map((node) => examineServer(examination, node)))
}

/** Keeps the cause that the client logs, which it has put into words for operators. */
function logOf(noteCause: (cause: string) => void): Log {
  const keep = (fields: unknown): void => {
    if (typeof fields === 'object' && fields !== null && 'cause' in fields) noteCause(String(fields.cause))
  }
  return { debug: () => undefined, info: () => undefined, warn: () => undefined, error: keep }
}

function firstMasters(lookupServer: Extract<LookupServer, { kind: 'cluster' }>): Promise<readonly Endpoint[]> {
  return new Promise((resolve) => lookupServer.onMasters((masters, whole) => whole && resolve(masters)))
}

/** @throws RedisFailure where no login could find its route */
async function readRoutes(redis: RedisClient, { prefix }: RedisSettings): Promise<void> {
  await redis.hmget(`${prefix}user:`, 'backend')
}

async function readMarker(
  redis: RedisClient,
  { prefix, servers }: RedisSettings,
  tell: Examination['tell'],
): Promise<void> {
  const key = `${prefix}marker`
  try {
    const [id = null, lost = null] = await redis.hmget(key, 'id', 'lost')
    if (lost !== null) {
      const words = `Redis has lost its data (${lost}); to accept it as it is: HDEL ${key} lost`
      tell(error(`directory-unavailable: ${words} (${LOST})`))
      return
    }
    if (id === null) {
      const words = `Redis has no marker ${key}: right before the first start; later it means that Redis has lost its data`
      tell(warning(`${words} (${LOST})`))
      return
    }
    const parts = servers.kind === 'cluster' ? partKeys(key) : []
    const ids = await Promise.all(parts.map(async (part) => (await redis.hmget(part, 'id'))[0]))
    const missing = parts.filter((_, index) => ids[index] === null)
    if (missing.length > 0)
      tell(error(`directory-unavailable: parts of the marker are missing: ${missing.join(', ')} (${LOST})`))
  } catch (thrown) {
    if (!isForbidden(thrown)) throw thrown
    tell(warning(`Redis: ${causeOf(thrown)}: without its marker the loss of data is not noticed (${LOST})`))
  }
}

/** The settings and the rights of one server. @param node of a Cluster */
async function examineServer(examination: Examination, node: Endpoint | undefined): Promise<void> {
  const { settings, closers, tell } = examination
  const name = node ? `Redis ${hostPort(node.host, node.port)}` : 'Redis'
  const { client, close } = connectRedis(settings, { protocol: 2, autoResubscribe: false }, node)
  closers.push(close)
  await new Promise<void>((resolve, reject) => {
    client.once('ready', () => resolve())
    client.on('error', (thrown) => {
      if (settings.servers.kind !== 'sentinels') reject(thrown)
    })
  })
  try {
    const { evictionPolicy = 'noeviction' } = await identify(client)
    if (evictionPolicy !== 'noeviction') {
      const words = `maxmemory-policy is ${evictionPolicy}, which may remove routes; set it to noeviction`
      tell(warning(`${name}: ${words} (docs/routing.md#persistence-and-eviction)`))
    }
  } catch (thrown) {
    tell(warning(`${name}: ${causeOf(thrown)}: ${RIGHTS}`))
  }
  await examineRights(client, examination)
}

const RIGHTS = 'the rights that mailmux needs are in docs/operations.md'

/** Names the commands that the user may not use, where the server can tell (Redis 7). ARGV: a JSON list of commands. */
const NOT_PERMITTED = `
if not redis.acl_check_cmd then return {} end
local missing = {}
for _, words in ipairs(cjson.decode(ARGV[1])) do
  if not redis.acl_check_cmd(unpack(words)) then table.insert(missing, words[1]) end
end
return missing
`

/** What the placement of a new user needs: its claim, and the marker. */
const placementCommands = (prefix: string): string[][] => [
  ['GET', `${prefix}claim:`],
  ['SET', `${prefix}claim:`, '-'],
  ['HSETNX', `${prefix}marker`, 'id', '-'],
]

/** What instances need to know and ask each other (src/instances/redis-exchange.ts). */
const instanceCommands = (prefix: string): string[][] => [
  ['TIME'],
  ['GET', `${prefix}instance:`],
  ['SET', `${prefix}instance:`, '-', 'EX', '1'],
  ['DEL', `${prefix}instance:`],
  ['ZADD', `${prefix}instances`, '0', '-'],
  ['ZREM', `${prefix}instances`, '-'],
  ['ZCOUNT', `${prefix}instances`, '0', '0'],
  ['ZREMRANGEBYSCORE', `${prefix}instances`, '0', '0'],
  ['ZREVRANGEBYSCORE', `${prefix}instances`, '0', '0'],
  ['PUBLISH', `${prefix}ask`, '-'],
  ['PUBLISH', `${prefix}answer:`, '-'],
  ['SUBSCRIBE', `${prefix}ask`],
]

/** What shared limits and blocks need (src/limits/redis-limits.ts, src/leases/redis-leases.ts, src/blocks/redis-blocks.ts). */
const limitCommands = (prefix: string): string[][] => [
  ['HGETALL', `${prefix}limit:`],
  ['HDEL', `${prefix}limit:`, '-'],
  ['HLEN', `${prefix}blocks`],
  ['PEXPIRE', `${prefix}limit:`, '1'],
]

/** What `mailmux route` and the routes of the API need (src/routes/, src/directory/redis/route-writer.ts, bulk.ts). */
const routeCommands = (prefix: string): string[][] => [
  ['HSET', `${prefix}user:`, '-', '-'],
  ['HDEL', `${prefix}user:`, '-'],
  ['DEL', `${prefix}user:`],
  ['EVALSHA', '-', '1', `${prefix}user:`],
  ['SCAN', '0'],
]

async function examineRights(client: Redis, { settings, isPlacing, tell, note }: Examination): Promise<void> {
  const [user, marker] = [`${settings.prefix}user:`, `${settings.prefix}marker`]
  /** @returns undefined where it is refused for want of a right. A refusal for any other reason comes after the check of the rights */
  async function attempt(command: () => Promise<unknown>): Promise<{ answer: unknown } | undefined> {
    try {
      return { answer: await command() }
    } catch (thrown) {
      if (!isForbidden(thrown)) return { answer: undefined }
      tell(warning(`Redis: ${causeOf(thrown)}: ${RIGHTS}`))
      return undefined
    }
  }
  await attempt(() => client.ping())
  await attempt(() => client.exists(marker))
  // A field without a value: Redis refuses it, but not before it has checked the rights.
  await attempt(() => client.call('HSET', marker, 'id', 'x', 'field'))
  const needed = [
    ...(isPlacing ? placementCommands(settings.prefix) : []),
    ...instanceCommands(settings.prefix),
    ...limitCommands(settings.prefix),
  ]
  /** @returns undefined where the server cannot be asked */
  async function findMissing(commands: string[][]): Promise<unknown[] | undefined> {
    const missing = await attempt(() => client.eval(NOT_PERMITTED, 0, JSON.stringify(commands)))
    return missing && [...new Set<unknown>(Array.isArray(missing.answer) ? missing.answer : [])]
  }
  const names = await findMissing(needed)
  if (names && names.length > 0) tell(warning(`Redis: this user may not use ${names.join(', ')}: ${RIGHTS}`))
  // Sites withhold these from mailmux's user on purpose, so that only operators change routes.
  const ofRoutes = names && (await findMissing(routeCommands(settings.prefix)))
  if (ofRoutes && ofRoutes.length > 0)
    note(
      `Redis: this user may not use ${ofRoutes.join(', ')}, which only \`mailmux route\` and the routes of the API need`,
    )
  const id = await attempt(() => client.client('ID'))
  const prefixes = ['PREFIX', user, 'PREFIX', marker]
  if (id)
    await attempt(() => client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id.answer), 'BCAST', ...prefixes))
  await attempt(() => client.subscribe('__redis__:invalidate'))
}
