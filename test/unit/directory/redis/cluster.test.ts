/** A Redis Cluster whose nodes are played by scripts: commands, their deadline, redirections, and the masters that its client names. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { RedisSettings } from '../../../../src/config/settings.ts'
import { openRedisClient, type RedisClient } from '../../../../src/directory/redis/client.ts'
import { Secret } from '../../../../src/secret.ts'
import { READ_DEADLINE_MS, within } from '../../../support/deadline.ts'
import {
  AMPLE_MS,
  bulk,
  fields,
  list,
  PASS,
  silent,
  startScriptedRedis,
  type ScriptedRedis,
} from '../scripted-redis.ts'
import { growList, until } from '../waiting.ts'

type Node = { port: number; redis: ScriptedRedis }

/** What a node answers; `PASS` as usual. @param at which node, from 0 */
type Script = (at: number, command: readonly string[]) => string | undefined

const portOf = ({ settings: { servers } }: ScriptedRedis): number => {
  assert.ok(servers.kind === 'single')
  return servers.server.port
}

/** @param ranges the answer to CLUSTER SLOTS, of the ports of all nodes */
async function startCluster(
  t: TestContext,
  count: number,
  script: Script = () => PASS,
  ranges: (ports: readonly number[]) => string = ([port = 0]) => list(rangeOf(0, 16_383, port)),
) {
  const nodes: Node[] = []
  const ports = (): number[] => nodes.map(({ port }) => port)
  for (let at = 0; at < count; at++) {
    const redis = await startScriptedRedis(t, (command) => {
      const [name, word = ''] = command
      if (name !== 'cluster') return script(at, command)
      return word.toUpperCase() === 'SLOTS' ? ranges(ports()) : bulk('cluster_state:ok\r\n')
    })
    nodes.push({ port: portOf(redis), redis })
  }
  const [first] = nodes
  assert.ok(first)
  const servers = { kind: 'cluster', nodes: [{ host: '127.0.0.1', port: first.port }] } as const
  return { nodes, settings: { ...first.redis.settings, timeoutMs: AMPLE_MS, servers } satisfies RedisSettings }
}

const rangeOf = (first: number, last: number, ...ports: number[]): string =>
  list(`:${first}\r\n`, `:${last}\r\n`, ...ports.map((port) => list(bulk('127.0.0.1'), `:${port}\r\n`)))

function open(t: TestContext, settings: RedisSettings): RedisClient {
  const client = openRedisClient(settings, silent, () => undefined)
  t.after(() => client.close())
  return client
}

const connected = (client: RedisClient): Promise<void> =>
  within(READ_DEADLINE_MS, client.connected, () => 'no connection to the Cluster')

test('asks the node that holds the slot, and hands its answers on', async (t) => {
  const { nodes, settings } = await startCluster(
    t,
    1,
    (_at, [name]) => ({ hmget: fields('one', null), exists: ':1\r\n', eval: bulk('done') })[name ?? ''] ?? PASS,
  )
  const client = open(t, settings)
  await connected(client)
  assert.deepEqual(await client.hmget('key', 'a', 'b'), ['one', null])
  assert.equal(await client.exists('key'), true)
  await client.hset('key', { field: 'x' })
  await client.hsetnx('key', 'field', 'y')
  assert.equal(await client.eval('return 1', ['key'], 'z'), 'done')
  assert.deepEqual(
    nodes[0]?.redis.asked.filter((one) => one.includes(' key')).map((one) => one.replace(/^\w+: /u, '')),
    ['hmget key a b', 'exists key', 'hset key field x', 'hsetnx key field y', 'eval return 1 1 key z'],
  )
})

test('goes to the node that a redirection names', async (t) => {
  const { nodes, settings } = await startCluster(t, 2, (at, [name]) => {
    if (name !== 'hmget') return PASS
    return at === 0 ? `-MOVED 12539 127.0.0.1:${nodes[1]?.port}\r\n` : fields('of-two')
  })
  const client = open(t, settings)
  await connected(client)
  assert.deepEqual(await client.hmget('key', 'field'), ['of-two'])
})

test('reports a node that does not answer with the same error as a single Redis', async (t) => {
  const { settings } = await startCluster(t, 1, (_at, [name]) =>
    name === 'hmget' || name === 'eval' ? undefined : PASS,
  )
  const client = open(t, { ...settings, timeoutMs: 200 })
  await connected(client)
  await assert.rejects(client.hmget('key', 'field'), { message: 'no answer in time' })
  await assert.rejects(client.eval('return 1', ['key']), { message: 'no answer in time' })
})

test('reports a Cluster that is down with the text of Redis', async (t) => {
  const down = 'CLUSTERDOWN The cluster is down'
  const { settings } = await startCluster(t, 1, (_at, [name]) => (name === 'hmget' ? `-${down}\r\n` : PASS))
  const client = open(t, settings)
  await connected(client)
  await assert.rejects(client.hmget('key', 'field'), { message: down })
})

test('says why a Cluster cannot be asked, and that it is one', async (t) => {
  const wrong = 'WRONGPASS invalid username-password pair'
  const { nodes, settings } = await startCluster(t, 1, (_at, [name]) => (name === 'auth' ? `-${wrong}\r\n` : PASS))
  const client = open(t, { ...settings, password: new Secret('x') })
  await nodes[0]?.redis.heard(/auth x$/u, 2)
  await assert.rejects(client.hmget('key', 'field'), { message: wrong })
  assert.equal(client.lookupServer.kind, 'cluster')
})

test('logs in to each node before it asks anything', async (t) => {
  const { nodes, settings } = await startCluster(
    t,
    2,
    (at, [name]) => (name === 'hmget' ? fields(`of-${at}`) : PASS),
    ([one = 0, two = 0]) => list(rangeOf(0, 8000, one), rangeOf(8001, 16_383, two)),
  )
  const client = open(t, { ...settings, username: 'mux', password: new Secret('of-redis') })
  await connected(client)
  assert.deepEqual(await client.hmget('key', 'field'), ['of-1']) // slot 12539
  assert.deepEqual(await client.hmget('{b}', 'field'), ['of-0']) // slot 3300
  for (const { redis } of nodes) {
    assert.equal(redis.asked[0], 'changes: auth mux of-redis')
    // Each command is a right that the Redis user would need.
    assert.deepEqual(
      redis.asked.filter((one) => / (?:select|client setinfo)/iu.test(one)),
      [],
    )
  }
})

test('finds a node by its name', async (t) => {
  const { nodes, settings } = await startCluster(t, 1)
  const port = nodes[0]?.port ?? 0
  await connected(open(t, { ...settings, servers: { kind: 'cluster', nodes: [{ host: 'localhost', port }] } }))
})

test('names a new master before the first command to it, and no new replica', async (t) => {
  const { nodes, settings } = await startCluster(
    t,
    3,
    (at, [name]) =>
      name === 'hmget' ? (at === 0 ? `-MOVED 12539 127.0.0.1:${ports[1]}\r\n` : fields('of-two')) : PASS,
    ([one = 0, two = 0, three = 0]) =>
      isMoved() ? list(rangeOf(0, 8000, one), rangeOf(8001, 16_383, two, three)) : list(rangeOf(0, 16_383, one)),
  )
  const ports = nodes.map(({ port }) => port)
  const isMoved = (): boolean => nodes[1]?.redis.asked.some((one) => one.includes('hmget')) === true
  const client = open(t, settings)
  assert.ok(client.lookupServer.kind === 'cluster')
  const named = growList<string>()
  client.lookupServer.onMasters((masters, whole) => {
    const asked = nodes[1]?.redis.asked.filter((one) => one.includes('hmget')).length
    for (const { port } of masters) named.add(`${whole ? 'all' : 'new'} ${ports.indexOf(port)} after ${asked}`)
  })
  await connected(client)
  assert.deepEqual(await client.hmget('key', 'field'), ['of-two'])
  await until(named, (all) => all.includes('all 1 after 1'), 'topology')
  assert.ok(named.all.includes('new 1 after 0'), named.all.join())
  assert.ok(!named.all.some((one) => one.includes(' 2 ')), named.all.join())
})

test('names all masters with each topology, and no replica', async (t) => {
  let ranges = ([one = 0, two = 0]: readonly number[]): string => list(rangeOf(0, 16_383, one, two))
  const { nodes, settings } = await startCluster(
    t,
    2,
    (at, [name]) => (name === 'hmget' && at === 0 ? `-MOVED 12539 127.0.0.1:${nodes[1]?.port}\r\n` : PASS),
    (ports) => ranges(ports),
  )
  const client = open(t, settings)
  assert.ok(client.lookupServer.kind === 'cluster')
  const named = growList<string>()
  client.lookupServer.onMasters((masters, whole) =>
    named.add(`${whole ? 'all' : 'new'}: ${masters.map(({ host, port }) => `${host}:${port}`).join(', ')}`),
  )
  const [one, two] = nodes.map(({ port }) => `127.0.0.1:${port}`)
  await until(named, (all) => all.includes(`all: ${one}`), 'topology')
  assert.deepEqual(new Set(named.all), new Set([`all: ${one}`]))
  ranges = ([first = 0, second = 0]) => list(rangeOf(0, 8000, first), rangeOf(8001, 16_383, second))
  await connected(client)
  void client.hmget('key', 'field').catch(() => undefined) // its redirection is the reason to ask for the topology
  await until(named, (all) => all.at(-1) === `all: ${one}, ${two}`, 'second topology')
})
