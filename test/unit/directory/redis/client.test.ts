/** What asks Redis: the limits on how long that takes, against a Redis that is played by a script, and against none. */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import type { RedisSettings } from '../../../../src/config/settings.ts'
import type { Log } from '../../../../src/log.ts'
import { Secret } from '../../../../src/secret.ts'
import { openRedisClient } from '../../../../src/directory/redis/client.ts'
import { freePort } from '../../../support/ports.ts'
import { PASS, silent, startScriptedRedis } from '../scripted-redis.ts'
import { growList, until } from '../waiting.ts'

/** A Redis of this kind where nobody listens. */
async function nowhere(kind: 'single' | 'sentinels' | 'cluster', settings: RedisSettings): Promise<RedisSettings> {
  const server = { host: '127.0.0.1', port: await freePort() }
  const servers = {
    single: { kind: 'single', server, database: 0 },
    sentinels: { kind: 'sentinels', name: 'm', addresses: [server], username: undefined, password: undefined },
    cluster: { kind: 'cluster', nodes: [server] },
  } as const
  return { ...settings, servers: servers[kind] }
}

for (const kind of ['single', 'sentinels', 'cluster'] as const)
  test(`refuses at once what is asked without a connection (${kind}), and logs why`, async (t) => {
    const { settings } = await startScriptedRedis(t, () => PASS)
    const lines = growList<string>()
    const log: Log = { ...silent, error: (...line: unknown[]) => lines.add(JSON.stringify(line)) }
    const redis = openRedisClient(await nowhere(kind, settings), log, () => undefined)
    t.after(() => redis.close())
    const started = performance.now()
    await assert.rejects(redis.hmget('key', 'field'))
    await assert.rejects(redis.eval('return 1', ['key']))
    assert.ok(performance.now() - started < settings.timeoutMs)
    await until(lines, (all) => all.length > 0, 'line')
    assert.match(lines.all[0] ?? '', /"directory unavailable"/u)
  })

for (const kind of ['single', 'sentinels', 'cluster'] as const)
  test(`a connection that this machine has no descriptor for is no outage of the directory (${kind})`, async (t) => {
    const { settings: usual } = await startScriptedRedis(t, () => PASS)
    const settings = await nowhere(kind, usual)
    const [lines, shortages] = [growList<string>(), growList<string>()]
    const log: Log = { ...silent, error: (...line: unknown[]) => lines.add(JSON.stringify(line)) }
    t.mock.method(Socket.prototype, 'connect', function connect(this: Socket) {
      process.nextTick(() => this.destroy(Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' })))
      return this
    })
    const redis = openRedisClient(settings, log, () => undefined, {
      noteShortage: (place, detail) => shortages.add(`${place}: ${detail}`),
    })
    t.after(() => redis.close())
    await until(shortages, (all) => all.length > 0, 'shortage')
    assert.match(shortages.all[0] ?? '', /^directory: Redis cannot be connected to: .*EMFILE/u)
    assert.deepEqual(lines.all, [])
  })

test('gives up on an answer that does not come', async (t) => {
  const { settings } = await startScriptedRedis(t, ([name]) => (name === 'hmget' ? undefined : PASS))
  const redis = openRedisClient(settings, silent, () => undefined)
  t.after(() => redis.close())
  await redis.connected
  const started = performance.now()
  await assert.rejects(redis.hmget('key', 'field'), /^RedisFailure: no answer in time$|^Error: no answer in time$/u)
  assert.ok(performance.now() - started >= settings.timeoutMs - 5)
})

test('hands on the answer of a script, with its keys and values', async (t) => {
  const { settings, asked } = await startScriptedRedis(t, ([name]) => (name === 'eval' ? ':1\r\n' : PASS))
  const redis = openRedisClient(settings, silent, () => undefined)
  t.after(() => redis.close())
  await redis.connected
  assert.equal(await redis.eval('return 1', ['a', 'b'], 'x'), 1)
  assert.equal(asked.at(-1), 'lookups: eval return 1 2 a b x')
})

for (const [what, answer, cause] of [
  ['refuses the password', '-WRONGPASS invalid username-password pair\r\n', 'WRONGPASS invalid username-password pair'],
  [
    'is loading',
    '-LOADING Redis is loading the dataset in memory\r\n',
    'LOADING Redis is loading the dataset in memory',
  ],
] as const)
  test(`says of each question that Redis ${what}, in the words of Redis`, async (t) => {
    const { settings } = await startScriptedRedis(t, ([name]) => (name === 'auth' ? answer : PASS))
    const lines = growList<string>()
    const log: Log = { ...silent, error: (...line: unknown[]) => lines.add(JSON.stringify(line)) }
    const redis = openRedisClient({ ...settings, password: new Secret('x') }, log, () => undefined)
    t.after(() => redis.close())
    await until(lines, (all) => all.length > 0, 'line')
    assert.match(lines.all[0] ?? '', new RegExp(`"cause":"${cause}"`, 'u'))
    await assert.rejects(redis.hmget('key', 'field'), { message: cause })
    await assert.rejects(redis.eval('return 1', ['key']), { message: cause })
    await assert.rejects(redis.hset('key', { field: 'x' }), { message: cause })
  })
