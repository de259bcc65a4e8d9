/** When remembered routes are trusted: a scripted Redis hangs, closes the connection, and is replaced by another. */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { Log } from '../../../../src/log.ts'
import { openRedisClient } from '../../../../src/directory/redis/client.ts'
import { openRedisInvalidation } from '../../../../src/directory/remembered/invalidation.ts'
import { bulk, info, PASS, silent, startScriptedRedis, type Answers } from '../scripted-redis.ts'
import { growList, until } from '../waiting.ts'

async function open(t: TestContext, answers: Answers) {
  const redis = await startScriptedRedis(t, answers)
  const client = openRedisClient(redis.settings, silent, () => undefined)
  const events = growList<string>()
  const close = openRedisInvalidation(redis.settings, client, silent, {
    onTracking: () => events.add('trusted'),
    onLost: () => events.add('lost'),
    onChanged: (user) => events.add(`changed ${user ?? 'all'}`),
    onMarker: () => events.add('marker'),
    onBackend: (backend) => events.add(`back end ${backend ?? 'all'}`),
    onEvictionPolicy: (policy) => events.add(policy),
  })
  t.after(() => {
    close()
    client.close()
  })
  /** Waits until the events so far are exactly these. */
  const told = (...expected: string[]): Promise<void> =>
    until(events, (all) => JSON.stringify(all) === JSON.stringify(expected), expected.join(', '))
  return { redis, client, events, told }
}

test('a node of a Cluster that this machine has no descriptor for is not reported as unavailable', async (t) => {
  const { settings } = await startScriptedRedis(t, () => PASS)
  const [lines, shortages] = [growList<string>(), growList<string>()]
  const log: Log = { ...silent, error: (...line: unknown[]) => lines.add(JSON.stringify(line)) }
  t.mock.method(Socket.prototype, 'connect', function connect(this: Socket) {
    process.nextTick(() => this.destroy(Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' })))
    return this
  })
  const nothing = (): void => undefined
  const close = openRedisInvalidation(
    settings,
    {
      lookupServer: { kind: 'cluster', onMasters: (listener) => listener([{ host: '127.0.0.1', port: 7000 }], true) },
      exists: () => Promise.resolve(false),
    },
    log,
    {
      onTracking: nothing,
      onLost: nothing,
      onChanged: nothing,
      onMarker: nothing,
      onBackend: nothing,
      onEvictionPolicy: nothing,
      noteShortage: (place, detail) => shortages.add(`${place}: ${detail}`),
    },
  )
  t.after(close)
  await until(shortages, (all) => all.length > 0, 'shortage')
  assert.equal(shortages.all[0], 'directory: 127.0.0.1:7000 cannot be connected to: EMFILE')
  assert.deepEqual(lines.all, [])
})

test('subscribes to changes of routes, states and the marker alone, and reports each', async (t) => {
  const { redis, told } = await open(t, () => PASS)
  await told('trusted')
  assert.ok(
    redis.asked.includes(
      'changes: client TRACKING ON REDIRECT 7 BCAST PREFIX mailmux:user: PREFIX mailmux:backend: PREFIX mailmux:marker',
    ),
  )
  assert.ok(redis.asked.includes('changes: subscribe __redis__:invalidate'))
  redis.push(['mailmux:user:alice@example.test', 'mailmux:user:bob,x'])
  await told('trusted', 'changed alice@example.test', 'changed bob,x')
  redis.push(null)
  await told('trusted', 'changed alice@example.test', 'changed bob,x', 'marker', 'back end all', 'changed all')
})

test('reports changes of the marker and of a state, and asks again after a message that is no list of keys', async (t) => {
  const { redis, told } = await open(t, () => PASS)
  await told('trusted')
  redis.push(['mailmux:marker:{7}'])
  await told('trusted', 'marker')
  redis.push(['mailmux:backend:store1'])
  await told('trusted', 'marker', 'back end store1')
  redis.publish('mailmux:user:alice@example.test')
  await told('trusted', 'marker', 'back end store1', 'marker', 'back end all', 'changed all')
})

test('reports the eviction policy of the server', async (t) => {
  const { told } = await open(t, ([name]) =>
    name === 'info' ? bulk('run_id:one\r\nrole:master\r\nmaxmemory_policy:allkeys-lru\r\n') : PASS,
  )
  await told('allkeys-lru', 'allkeys-lru', 'trusted')
})

test('does not trust a server that is not the one that answers lookups, and asks for another', async (t) => {
  let moved = false
  const { redis, told, events } = await open(t, ([name], asker) =>
    name === 'info' ? info(asker === 'lookups' || moved ? 'new' : 'old', 'master') : PASS,
  )
  await redis.heard(/^changes: subscribe/u, 2)
  assert.deepEqual(events.all, [])
  moved = true
  await told('trusted')
})

test('does not trust a server that is a replica of its own will any less', async (t) => {
  const { told } = await open(t, ([name]) => (name === 'info' ? info('one', 'slave') : PASS))
  await told('trusted')
})

test('trusts nothing while the connection for lookups is away, and again when it has come back to the same server', async (t) => {
  const { redis, told } = await open(t, () => PASS)
  await told('trusted')
  redis.hangUp('lookups')
  await told('trusted', 'lost', 'trusted')
})

test('notices a connection for lookups that comes back to another server', async (t) => {
  let moved = false
  const { redis, told } = await open(t, ([name], asker) =>
    name === 'info' ? info(moved && asker === 'lookups' ? 'new' : 'one', 'master') : PASS,
  )
  await told('trusted')
  moved = true
  redis.hangUp('lookups')
  await redis.heard(/^changes: subscribe/u, 2)
  await told('trusted', 'lost')
})

test('trusts nothing while the connection for changes is away', async (t) => {
  const { redis, told } = await open(t, () => PASS)
  await told('trusted')
  redis.hangUp('changes')
  await told('trusted', 'lost', 'trusted')
  assert.equal(redis.asked.filter((one) => one.startsWith('changes: client TRACKING')).length, 2)
})

test('notices a connection for changes that has gone deaf, and makes another', async (t) => {
  let deaf = false
  const { redis, told } = await open(t, ([name], asker) => {
    if (asker === 'changes' && name === 'ping' && deaf) return undefined
    return PASS
  })
  await told('trusted')
  deaf = true
  await told('trusted', 'lost')
  deaf = false
  await redis.heard(/^changes: subscribe/u, 2)
  await told('trusted', 'lost', 'trusted')
})

test('asks on the connection for lookups too when the server is silent, so that an idle worker sees the outage', async (t) => {
  let silent = false
  const { redis, told } = await open(t, ([name], asker) =>
    silent && ((asker === 'changes' && name === 'ping') || name === 'exists') ? undefined : PASS,
  )
  await told('trusted')
  assert.ok(!redis.asked.includes('lookups: exists mailmux:marker'))
  silent = true
  await told('trusted', 'lost')
  await redis.heard(/^lookups: exists mailmux:marker$/u)
})

test('notices that the server for lookups does not answer', async (t) => {
  let away = false
  const { told } = await open(t, ([name], asker) => (asker === 'lookups' && name === 'info' && away ? undefined : PASS))
  await told('trusted')
  away = true
  await told('trusted', 'lost')
})

test('trusts no route if Redis refuses to report changes', async (t) => {
  const { redis, events } = await open(t, ([name, word]) =>
    name === 'client' && word === 'TRACKING' ? '-NOPERM no\r\n' : PASS,
  )
  await redis.heard(/^changes: client TRACKING/u)
  await redis.heard(/^lookups: hello/u)
  assert.deepEqual(events.all, [])
})

test('trusts no message if Redis does not report its identity', async (t) => {
  const { redis, events } = await open(t, ([name], asker) =>
    name === 'info' && asker === 'changes' ? '$0\r\n\r\n' : PASS,
  )
  await redis.heard(/^changes: info/u, 3) // of the login of each connection, then the one that counts
  await redis.heard(/^lookups: hello/u)
  assert.deepEqual(events.all, [])
})
