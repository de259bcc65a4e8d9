/** The Redis directory in front of a Redis that is played by a script. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { MuxError } from '../../../../src/errors.ts'
import type { RouteFault } from '../../../../src/metrics/metrics.ts'
import { openRedisClient, type RedisClient } from '../../../../src/directory/redis/client.ts'
import { createRedisDirectory, type RouteStore } from '../../../../src/directory/redis/route-store.ts'
import { noteAnswer, type RouteStep } from '../../../../src/directory/trace.ts'
import { READ_DEADLINE_MS, within } from '../../../support/deadline.ts'
import { bulk, fields, list, PASS, silent, startScriptedRedis } from '../scripted-redis.ts'
import { RouteInvalid } from '../../../../src/directory/errors.ts'

/** A directory that is connected, whose HMGET gets `answer`, undefined: none ever, and whose EXISTS gets `exists`. */
async function openDirectory(
  t: TestContext,
  answer: string | undefined,
  exists = ':0\r\n',
): Promise<{ directory: RouteStore; redis: RedisClient; asked: readonly string[]; bad: readonly string[] }> {
  const { settings, asked } = await startScriptedRedis(t, ([name]) =>
    name === 'hmget' ? answer : name === 'exists' ? exists : PASS,
  )
  const bad: string[] = []
  const redis = openRedisClient(settings, silent, () => undefined)
  t.after(() => redis.close())
  await within(READ_DEADLINE_MS, redis.connected, () => 'the directory did not connect')
  const directory = createRedisDirectory(redis, settings.prefix, (detail) => bad.push(detail))
  return { directory, redis, asked, bad }
}

test('gives the entry of a user, active by default', async (t) => {
  const { directory, asked } = await openDirectory(t, fields('store1', null, null, null))
  assert.deepEqual(await directory.read('alice@example.test'), {
    backend: 'store1',
    login: undefined,
    status: 'active',
  })
  assert.equal(asked.at(-1), 'lookups: hmget mailmux:user:alice@example.test backend login status hold')
})

for (const status of ['active', 'hold', 'disabled'] as const)
  test(`gives an entry whose status is ${status}`, async (t) => {
    const { directory } = await openDirectory(t, fields('store1', 'inner', status, null))
    assert.deepEqual(await directory.read('alice'), { backend: 'store1', login: 'inner', status })
  })

const TOKEN = '0123456789abcdef0123456789abcdef'

test('gives the token and the end of a hold, and neither of another status', async (t) => {
  const { directory } = await openDirectory(t, fields('store1', null, 'hold', `${TOKEN} 1764490000`))
  assert.deepEqual(await directory.read('alice'), {
    backend: 'store1',
    login: undefined,
    status: 'hold',
    hold: { token: TOKEN, untilMs: 1_764_490_000_000 },
  })
  const active = await openDirectory(t, fields('store1', null, null, 'left behind'))
  assert.deepEqual(await active.directory.read('alice'), { backend: 'store1', login: undefined, status: 'active' })
})

test('returns undefined for a user without an entry', async (t) => {
  const { directory } = await openDirectory(t, fields(null, null, null, null))
  assert.equal(await directory.read('alice'), undefined)
})

const WRONGTYPE = '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n'

/** What Redis may hold that makes no sense. */
const FAULTS: Record<string, { answer: string; fault: RouteFault }> = {
  'a status that there is none of': { answer: fields('store1', null, 'paused', null), fault: 'bad-status' },
  'a hold of another form': { answer: fields('store1', null, 'hold', `${TOKEN} soon`), fault: 'bad-status' },
  'a hold of a megabyte': { answer: fields('store1', null, 'hold', '1'.repeat(1_000_000)), fault: 'oversized' },
  'an empty status': { answer: fields('store1', null, '', null), fault: 'bad-status' },
  'a login without a back end': { answer: fields(null, 'alice', null, null), fault: 'no-backend' },
  'a key that is no hash': { answer: WRONGTYPE, fault: 'wrong-type' },
  'a back end of 321 characters': { answer: fields('b'.repeat(321), null, null, null), fault: 'oversized' },
  'a login of a megabyte': { answer: fields('store1', 'l'.repeat(1_000_000), null, null), fault: 'oversized' },
  'a status of 321 characters': { answer: fields('store1', null, 's'.repeat(321), null), fault: 'oversized' },
}

for (const [what, { answer, fault }] of Object.entries(FAULTS))
  test(`refuses ${what}, and repeats little of it`, async (t) => {
    const { directory } = await openDirectory(t, answer)
    await assert.rejects(directory.read('alice'), (error) => {
      assert.ok(error instanceof RouteInvalid)
      assert.deepEqual([error.code, error.fault], ['route-invalid', fault])
      assert.ok(error.message.length < 200)
      return true
    })
  })

test('refuses a hash without the field backend, and explains it in a trace', async (t) => {
  const { directory } = await openDirectory(t, fields(null, null, null, null), ':1\r\n')
  const steps: RouteStep[] = []
  const answer = noteAnswer((step) => steps.push(step), directory.keyOf('alice'), directory.read('alice'))
  await assert.rejects(answer, { code: 'route-invalid', fault: 'no-backend' })
  assert.deepEqual(
    steps.map(({ outcome, detail }) => [outcome, detail]),
    [['invalid', 'the hash in the directory has no field "backend"']],
  )
})

test('gives nothing where this user of Redis may not ask whether there is a key', async (t) => {
  const { directory } = await openDirectory(t, fields(null, null, null, null), '-NOPERM no\r\n')
  assert.equal(await directory.read('alice'), undefined)
})

/** Answers of a Redis, or of what stands in its place, in a form that HMGET never has. */
const ODD: Record<string, string> = {
  'a number': ':1\r\n',
  nil: '*-1\r\n',
  'nil in RESP3': '_\r\n',
  'a status': '+s1\r\n',
  'a text': bulk('store1'),
  'fewer fields': fields('store1', null),
  'more fields': fields('store1', null, null, null, null),
  numbers: list(':1\r\n', ':2\r\n', ':3\r\n'),
  lists: list(fields('s'), fields('s'), fields('s')),
}

for (const [what, answer] of Object.entries(ODD))
  test(`takes ${what} for no answer, and counts it`, async (t) => {
    const { directory, bad } = await openDirectory(t, answer)
    await assert.rejects(directory.read('alice'), { code: 'directory-unavailable' })
    assert.deepEqual(bad, ['HMGET was answered in another form'])
  })

test('takes another form of answer to EXISTS for no answer', async (t) => {
  const { directory, bad } = await openDirectory(t, fields(null, null, null, null), '+OK\r\n')
  await assert.rejects(directory.read('alice'), { code: 'directory-unavailable' })
  assert.equal(bad.length, 1)
})

test('takes fields as long as the longest mailbox name', async (t) => {
  const login = 'l'.repeat(320)
  const { directory } = await openDirectory(t, fields('store1', login, null, null))
  assert.deepEqual(await directory.read('alice'), { backend: 'store1', login, status: 'active' })
})

/** What is no answer. */
const AWAY: Record<string, string | undefined> = {
  'is loading': '-LOADING Redis is loading the dataset in memory\r\n',
  'wants a password': '-NOAUTH Authentication required.\r\n',
  'does not answer': undefined,
}

for (const [what, answer] of Object.entries(AWAY))
  test(`fails closed at a Redis that ${what}`, async (t) => {
    const { directory } = await openDirectory(t, answer)
    await assert.rejects(directory.read('alice'), (error) => {
      assert.ok(error instanceof MuxError)
      assert.equal(error.code, 'directory-unavailable')
      return true
    })
  })

test('fails at once while there is no connection', async (t) => {
  const { directory, redis } = await openDirectory(t, fields('store1', null, null, null))
  redis.close()
  await assert.rejects(directory.read('alice'), { code: 'directory-unavailable' })
})
