/** What one connection for changes says of itself in the log, and when it tries again. Redis is played by a script. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { connectRedis } from '../../../../src/directory/redis/connection.ts'
import { startTracking, type TrackingListener } from '../../../../src/directory/remembered/tracking.ts'
import type { Log } from '../../../../src/log.ts'
import { PASS, silent, startScriptedRedis, type Answers } from '../scripted-redis.ts'
import { growList, until } from '../waiting.ts'

type Play = {
  answers?: Answers
  /** of a Cluster, as the log names it */
  node?: string
  isLookupServer?: TrackingListener['isLookupServer']
}

async function start(t: TestContext, { answers = () => PASS, node, ...more }: Play) {
  const redis = await startScriptedRedis(t, answers)
  assert.ok(redis.settings.servers.kind === 'single')
  const place = { host: '127.0.0.1', port: redis.settings.servers.server.port }
  const [lines, events] = [growList<string>(), growList<string>()]
  const say = (line: object | string, text = ''): void => lines.add(`${text} ${JSON.stringify(line)}`)
  const log: Log = { ...silent, info: say, error: say }
  const tracking = startTracking(
    connectRedis(redis.settings, { protocol: 2, autoResubscribe: false }, place),
    { user: 'mailmux:user:', backend: 'mailmux:backend:', marker: 'mailmux:marker' },
    {
      onIdentity: ({ runId, role }) => events.add(`server ${runId} ${role}`),
      onTracked: () => events.add('tracked'),
      onLost: () => events.add('lost'),
      onChanged: (user) => events.add(`changed ${user}`),
      onMarker: () => events.add('marker'),
      onBackend: (backend) => events.add(`back end ${backend}`),
      onSilent: () => events.add('silent'),
      isLookupServer: () => Promise.resolve(true),
      ...more,
    },
    log,
    node,
  )
  t.after(() => tracking.close())
  return { redis, lines, events, tracking }
}

test('reports the server, then that changes are tracked from now on', async (t) => {
  const { events, lines, tracking } = await start(t, {})
  await until(events, (all) => all.length === 2, 'two events')
  assert.deepEqual(events.all, ['server one master', 'tracked'])
  tracking.lost()
  tracking.check()
  await until(events, (all) => all.length === 4, 'four events')
  assert.deepEqual(events.all.slice(2), ['lost', 'tracked'])
  assert.deepEqual(lines.all, [])
})

test('logs why Redis does not report changes, once for each cause, on each new connection', async (t) => {
  let cause = 'NOPERM no'
  const { redis, lines, events } = await start(t, {
    node: 'redis-1:6379',
    answers: ([name, word]) => (name === 'client' && word === 'TRACKING' ? `-${cause}\r\n` : PASS),
  })
  const line = (why: string): string => `directory does not tell of changes {"node":"redis-1:6379","cause":"${why}"}`
  await until(lines, (all) => all.length > 0, 'line')
  redis.hangUp('changes')
  await redis.heard(/client TRACKING/u, 2)
  cause = 'ERR unknown subcommand'
  redis.hangUp('changes')
  await until(lines, (all) => all.length > 1, 'second line')
  assert.deepEqual(lines.all, [line('NOPERM no'), line(cause)])
  assert.ok(!events.all.includes('tracked'))
})

test('logs that a node of a Cluster is away, and that it has come back', async (t) => {
  let isRefused = true
  const { lines } = await start(t, {
    node: 'redis-1:6379',
    answers: ([name]) => (name === 'info' && isRefused ? '-LOADING wait\r\n' : PASS),
  })
  await until(lines, (all) => all.length > 0, 'line')
  isRefused = false
  await until(lines, (all) => all.length > 1, 'second line')
  assert.deepEqual(lines.all, [
    'directory node unavailable {"node":"redis-1:6379","cause":"LOADING wait"}',
    'directory node connected {"node":"redis-1:6379"}',
  ])
})

test('leaves the log of a single Redis to the connection for lookups', async (t) => {
  const { lines, redis } = await start(t, { answers: ([name]) => (name === 'info' ? '-LOADING wait\r\n' : PASS) })
  await redis.heard(/changes: info/u, 2)
  assert.deepEqual(lines.all, [])
})

test('counts a server as not tracked whose identity cannot be compared', async (t) => {
  const { events } = await start(t, { isLookupServer: () => Promise.reject(new Error('away')) })
  await until(events, (all) => all.includes('lost'), 'loss')
  assert.ok(!events.all.includes('tracked'))
})

test('ignores the result of a comparison that a loss has overtaken', async (t) => {
  const compared = Promise.withResolvers<boolean>()
  let comparisons = 0
  const { events, tracking, redis } = await start(t, {
    isLookupServer: () => (comparisons++ === 0 ? compared.promise : Promise.resolve(false)),
  })
  await redis.heard(/changes: ping/u)
  while (comparisons === 0) await new Promise(setImmediate)
  tracking.lost()
  compared.resolve(true)
  await new Promise(setImmediate)
  assert.ok(!events.all.includes('tracked'))
})
