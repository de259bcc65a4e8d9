/** The master that a Sentinel names, both scripted: how it is found, the commands that each gets, and which answers are refused. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { RedisSettings } from '../../../../src/config/settings.ts'
import { openRedisClient } from '../../../../src/directory/redis/client.ts'
import type { Log } from '../../../../src/log.ts'
import { Secret } from '../../../../src/secret.ts'
import { READ_DEADLINE_MS, within } from '../../../support/deadline.ts'
import { freePort } from '../../../support/ports.ts'
import {
  AMPLE_MS,
  bulk,
  fields,
  info,
  list,
  PASS,
  silent,
  startScriptedRedis,
  type Answers,
} from '../scripted-redis.ts'
import { growList, until } from '../waiting.ts'

const portOf = ({ servers }: RedisSettings): number => {
  assert.ok(servers.kind === 'single')
  return servers.server.port
}

type Play = {
  sentinel?: Answers
  master?: Answers
  settings?: Partial<RedisSettings>
  /** the Sentinels' own user */
  login?: { username?: string; password?: Secret }
  /** before the one that answers */
  deadSentinel?: boolean
}

/** A Sentinel that names `named()`, the one master at first. */
async function start(t: TestContext, { sentinel, master, settings, login, deadSentinel = false }: Play) {
  const first = await startScriptedRedis(t, master ?? (() => PASS))
  const second = await startScriptedRedis(t, ([name]) => (name === 'hmget' ? fields('of-second') : PASS))
  let named = portOf(first.settings)
  const sentinels = await startScriptedRedis(t, (command, asker) => {
    const answer = sentinel?.(command, asker) ?? PASS
    if (answer !== PASS) return answer
    const [name, word = ''] = command
    if (name !== 'sentinel') return PASS
    return word === 'get-master-addr-by-name' ? list(bulk('127.0.0.1'), bulk(String(named))) : list()
  })
  const address = { host: '127.0.0.1', port: portOf(sentinels.settings) }
  const dead = deadSentinel ? [{ host: '127.0.0.1', port: await freePort() }] : []
  const lines = growList<string>()
  const log: Log = { ...silent, error: (...line: unknown[]) => lines.add(JSON.stringify(line)) }
  const servers = {
    kind: 'sentinels',
    name: 'main',
    addresses: [...dead, address],
    username: login?.username,
    password: login?.password,
  } as const
  const states: boolean[] = []
  const redis = openRedisClient(
    { ...first.settings, timeoutMs: AMPLE_MS, ...settings, servers },
    log,
    (up) => void states.push(up),
  )
  t.after(() => redis.close())
  const failOver = (): void => {
    named = portOf(second.settings)
  }
  return { redis, master: first, second, sentinels, lines, states, failOver }
}

const connected = (redis: { connected: Promise<void> }): Promise<void> =>
  within(READ_DEADLINE_MS, redis.connected, () => 'no connection to the master')

test('asks the master that the Sentinel names for this name', async (t) => {
  const { redis, sentinels, states } = await start(t, {
    master: ([name]) => (name === 'hmget' ? fields('store1') : PASS),
  })
  await connected(redis)
  assert.deepEqual(await redis.hmget('key', 'field'), ['store1'])
  assert.ok(sentinels.asked.some((one) => one.endsWith('sentinel get-master-addr-by-name main')))
  assert.equal(redis.lookupServer.kind, 'one')
  assert.deepEqual(states, [true])
})

test('logs in to the Sentinels and to the master with their own names and passwords', async (t) => {
  const { redis, sentinels, master } = await start(t, {
    settings: { username: 'mux', password: new Secret('of-redis') },
    login: { username: 'watch', password: new Secret('of-sentinel') },
  })
  await connected(redis)
  assert.equal(sentinels.asked[0], 'changes: auth watch of-sentinel')
  assert.equal(master.asked[0], 'changes: auth mux of-redis')
  assert.equal(sentinels.asked.filter((one) => /of-redis/u.test(one)).length, 0)
  assert.equal(master.asked.filter((one) => /of-sentinel/u.test(one)).length, 0)
})

test('sends no password to Sentinels without one', async (t) => {
  const { redis, sentinels } = await start(t, { settings: { password: new Secret('of-redis') } })
  await connected(redis)
  assert.equal(sentinels.asked.filter((one) => / auth/u.test(one)).length, 0)
})

test('asks the next Sentinel where the first is away', async (t) => {
  const { redis } = await start(t, { deadSentinel: true })
  await connected(redis)
})

for (const [what, play, cause] of [
  [
    'takes no replica for the master',
    { master: ([name]) => (name === 'info' ? info('one', 'slave') : PASS) },
    /the Sentinels name a replica/u,
  ],
  [
    'waits for a master that is loading',
    { master: ([name]) => (name === 'info' ? bulk('role:master\r\nloading:1\r\n') : PASS) },
    /LOADING Redis is loading/u,
  ],
  [
    'says so where the Sentinel refuses its password',
    {
      sentinel: ([name]) => (name === 'auth' ? '-WRONGPASS invalid\r\n' : PASS),
      login: { password: new Secret('x') },
    },
    /no Sentinel answers: WRONGPASS invalid/u,
  ],
] as const satisfies [string, Play, RegExp][])
  test(what, async (t) => {
    const { redis, lines, states } = await start(t, play)
    await until(lines, (all) => all.length > 0, 'line')
    assert.match(lines.all[0] ?? '', cause)
    assert.ok(!states.includes(true))
    await assert.rejects(redis.hmget('key', 'field'), { message: cause })
  })

test('may ask a master that refuses INFO to this user', async (t) => {
  const { redis } = await start(t, { master: ([name]) => (name === 'info' ? '-NOPERM no\r\n' : PASS) })
  await connected(redis)
})

test('goes to the new master when a Sentinel reports a failover', async (t) => {
  const { redis, sentinels, failOver } = await start(t, {})
  await connected(redis)
  await sentinels.heard(/subscribe \+switch-master/u)
  failOver()
  sentinels.tell('+switch-master', 'main 127.0.0.1 1 127.0.0.1 2')
  const answered = async (): Promise<boolean> => {
    const [field] = await redis.hmget('key', 'field').catch(() => [])
    return field === 'of-second'
  }
  await within(
    READ_DEADLINE_MS,
    (async () => {
      while (!(await answered())) await new Promise(setImmediate)
    })(),
    () => 'it stays at the old master',
  )
})
