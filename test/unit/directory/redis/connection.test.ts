import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Redis } from 'ioredis'
import { connectCluster, connectRedis } from '../../../../src/directory/redis/connection.ts'
import { Secret } from '../../../../src/secret.ts'
import { READ_DEADLINE_MS, within } from '../../../support/deadline.ts'
import { causeOf } from '../../../../src/directory/redis/errors.ts'
import type { RedisSettings } from '../../../../src/config/settings.ts'
import { PASS, startScriptedRedis } from '../scripted-redis.ts'
import { growList, until } from '../waiting.ts'

/** Whatever else happens: `once` of node:events would stop at an error. */
const heard = (client: Redis, event: string): Promise<unknown> => new Promise((resolve) => client.once(event, resolve))

function single({ servers }: RedisSettings) {
  assert.ok(servers.kind === 'single')
  return servers
}

test('reconnects after ioredis has ended its client', async (t) => {
  const { settings } = await startScriptedRedis(t, () => PASS)
  const { client, close } = connectRedis(settings, {})
  t.after(close)
  client.on('error', () => undefined)
  const ended = heard(client, 'end')
  client.disconnect(true) // while it dials, as when a failover is told of at that moment
  await within(READ_DEADLINE_MS, ended, () => 'ioredis has not given up, which this is for')
  await within(READ_DEADLINE_MS, heard(client, 'ready'), () => 'nobody has brought it back')
})

test('does not reconnect once it is closed', async (t) => {
  const { settings } = await startScriptedRedis(t, () => PASS)
  const { client, close } = connectRedis(settings, {})
  client.on('error', () => undefined)
  await within(READ_DEADLINE_MS, heard(client, 'ready'), () => 'no connection')
  const ended = heard(client, 'end')
  close()
  close()
  await within(READ_DEADLINE_MS, ended, () => 'it does not end')
  await assert.rejects(client.ping())
})

test('goes to another server where its own says that it may not be written to any more', async (t) => {
  let demoted = true
  const { settings } = await startScriptedRedis(t, ([name]) =>
    name === 'eval' && demoted ? "-READONLY You can't write against a read only replica.\r\n" : PASS,
  )
  const { client, close } = connectRedis(settings, {})
  t.after(close)
  client.on('error', () => undefined)
  await within(READ_DEADLINE_MS, heard(client, 'ready'), () => 'no connection')
  const again = heard(client, 'ready')
  await assert.rejects(client.eval('return 1', 0), /READONLY/u)
  demoted = false
  await within(READ_DEADLINE_MS, again, () => 'it stays where it is')
  assert.equal(await client.eval('return 1', 0), 'OK')
})

const LOGIN = { username: 'mux', password: new Secret('of-redis') }

test('logs in and selects the database before anything else, in RESP3 and in RESP2', async (t) => {
  const redis = await startScriptedRedis(t, () => PASS)
  const settings = { ...redis.settings, ...LOGIN, servers: { ...single(redis.settings), database: 3 } }
  for (const options of [{}, { protocol: 2 }] as const) {
    const before = redis.asked.length
    const { client, close } = connectRedis(settings, options)
    t.after(close)
    client.on('error', () => undefined)
    await within(READ_DEADLINE_MS, heard(client, 'ready'), () => 'no connection')
    assert.deepEqual(redis.asked.slice(before, before + 2), ['changes: auth mux of-redis', 'changes: select 3'])
    assert.doesNotMatch(redis.asked.slice(before + 2).join(), /of-redis|select/u)
  }
})

/** What a Redis may say against a login, and what ioredis would make of it. */
const REFUSALS: Record<string, { command: string; answer: string | undefined; cause: RegExp }> = {
  'refuses SELECT to this user': {
    command: 'select',
    answer: "-NOPERM this user has no permissions to run the 'select' command\r\n",
    cause: /^NOPERM this user/u,
  },
  'has no such database': { command: 'select', answer: '-ERR DB index is out of range\r\n', cause: /^ERR DB index/u },
  'refuses the password': { command: 'auth', answer: '-WRONGPASS invalid\r\n', cause: /^WRONGPASS invalid$/u },
  'wants no password': {
    command: 'auth',
    answer: '-ERR AUTH <password> called without any password configured for the default user. Are you sure?\r\n',
    cause: /^ERR AUTH <password> called without/u,
  },
  'is older than its users': {
    command: 'auth',
    answer: "-ERR wrong number of arguments for 'auth' command\r\n",
    cause: /^ERR wrong number/u,
  },
  'answers in another form': { command: 'select', answer: ':1\r\n', cause: /no answer to the login/u },
  'answers more than it was asked': { command: 'select', answer: '+OK\r\n+OK\r\n', cause: /no answer to the login/u },
  'answers without end': { command: 'select', answer: '+'.repeat(5000), cause: /no answer to the login/u },
  'does not answer': { command: 'select', answer: undefined, cause: /ETIMEDOUT/u },
}

for (const kind of ['lookups', 'changes'] as const)
  for (const [what, { command, answer, cause }] of Object.entries(REFUSALS))
    test(`is not connected (${kind}) to a Redis that ${what}`, async (t) => {
      const redis = await startScriptedRedis(t, ([name]) => (name === command ? answer : PASS))
      const settings = { ...redis.settings, ...LOGIN, servers: { ...single(redis.settings), database: 1 } }
      const { client, close } = connectRedis(settings, kind === 'changes' ? { protocol: 2 } : {})
      t.after(close)
      let ready = false
      client.on('ready', () => (ready = true))
      const errors = growList<string>()
      client.on('error', (error) => errors.add(causeOf(error)))
      // After this ioredis does nothing more, and the connection is made anew: see the first test.
      await within(READ_DEADLINE_MS, heard(client, 'end'), () => 'the attempt has no end')
      assert.match(errors.all[0] ?? '', cause)
      assert.equal(ready, false)
      assert.deepEqual(
        redis.asked.filter((one) => !/ (?:auth|select)\b/u.test(one)),
        [],
        'nothing may be asked in the wrong database',
      )
    })

test('replaces a lasting connection immediately, and a short one after a pause', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const redis = await startScriptedRedis(t, () => PASS)
  const { client, close } = connectRedis(redis.settings, {})
  t.after(close)
  client.on('error', () => undefined)
  const pauses = growList<unknown>()
  client.on('reconnecting', (ms: unknown) => pauses.add(ms))
  await within(READ_DEADLINE_MS, heard(client, 'ready'), () => 'no connection')
  redis.hangUp('lookups')
  await until(pauses, (all) => all.length === 1, 'first pause')
  assert.ok(Number(pauses.all[0]) >= 50, String(pauses.all[0]))
  let nowMs = performance.now() + 5000
  t.mock.method(performance, 'now', () => nowMs) // once: a second mock of it would be restored to the first
  t.mock.timers.tick(500)
  await within(READ_DEADLINE_MS, heard(client, 'ready'), () => 'no second connection')
  nowMs += 5000
  redis.hangUp('lookups')
  await until(pauses, (all) => all.length === 2, 'second pause')
  assert.equal(pauses.all[1], 0)
})

test('the clients for one Redis and for a Cluster refuse each other’s settings', async (t) => {
  const { settings } = await startScriptedRedis(t, () => PASS)
  assert.throws(() => connectCluster(settings, 1500))
  const cluster = { ...settings, servers: { kind: 'cluster', nodes: [{ host: '127.0.0.1', port: 1 }] } } as const
  assert.throws(() => connectRedis(cluster, {}))
})
