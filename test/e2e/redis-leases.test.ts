/** Leases and blocks in a real Redis: the script of leases agrees with its model in memory, no other rights are needed than documented, and a Cluster will do. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createRedisBlocks } from '../../src/blocks/redis-blocks.ts'
import { openRedisClient, type RedisClient } from '../../src/directory/redis/client.ts'
import type { RedisServers, RedisSettings } from '../../src/config/settings.ts'
import { createRedisLeases } from '../../src/leases/redis-leases.ts'
import type { LeaseRequest } from '../../src/leases/site-leases.ts'
import { Secret } from '../../src/secret.ts'
import { START_DEADLINE_MS, until, within } from '../support/deadline.ts'
import { documentedAcl, documentedSentinelAcl, type AclUse } from '../support/documented-acl.ts'
import { between, createRandom, pick } from '../support/random.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { MASTER_NAME, startWatchedRedis } from '../support/redis-sentinel.ts'
import { startRedis, type Redis } from '../support/redis.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { silent } from '../unit/directory/scripted-redis.ts'
import { MemoryLeases } from '../unit/leases/memory-leases.ts'

const KEY = 'sessions store1'
const REQUEST: LeaseRequest = { limit: 10, held: 0, want: 10, used: 0, need: 0, again: false }

function settingsOf(servers: RedisServers): RedisSettings {
  return {
    kind: 'redis',
    servers,
    username: 'mailmux',
    password: new Secret('of-redis'),
    tls: undefined,
    prefix: 'mailmux:',
    timeoutMs: 500,
    cache: { maxEntries: 1000, lifetimeMs: 60_000, negativeLifetimeMs: 60_000, maxStaleMs: 60_000 },
    snapshotFile: undefined,
    snapshotSlot: 1,
  }
}

async function openStores(servers: RedisServers) {
  const client = openRedisClient(settingsOf(servers), silent, () => undefined)
  scene.closeLater(() => client.close())
  await within(START_DEADLINE_MS, client.connected, () => 'no connection to Redis')
  return { client, storeOf: (id: string) => createRedisLeases(client, 'mailmux:', id) }
}

function endpoint(text: string): { host: string; port: number } {
  const [host = '', port = ''] = text.split(':')
  return { host, port: Number(port) }
}

const user = (...uses: AclUse[]): string[] => ['--user', 'mailmux', ...documentedAcl('of-redis', ...uses)]

let scene: Scene
let redis: Redis
before(async () => {
  scene = openScene()
  redis = await startRedis(scene, { args: user('limits') })
})
after(() => scene.close())

const single = (): RedisServers => ({
  kind: 'single',
  server: { host: '127.0.0.1', port: redis.port },
  database: 0,
})

test('grants as the model does, and never more than the limit', async () => {
  await redis.command('FLUSHALL')
  const { storeOf } = await openStores(single())
  const memory = new MemoryLeases()
  const random = createRandom(20)
  const names = ['a', 'b', 'c']
  const stores = new Map(names.map((name) => [name, storeOf(name)]))
  const caps = new Map<string, number>()
  for (let step = 0; step < 300; step++) {
    const name = pick(random, names)
    const held = between(random, 0, caps.get(name) ?? 0)
    const request = {
      limit: 10,
      held,
      want: between(random, 0, 10),
      used: held,
      need: between(random, 0, 20),
      again: step > 20,
    }
    const expected = memory.renew(name, KEY, request)
    const grant = await stores.get(name)?.renew(KEY, request)
    assert.equal(grant?.granted, expected.granted, JSON.stringify({ step, name, request }))
    const byId = (rows: readonly { id: string }[] = []) => rows.toSorted((a, b) => a.id.localeCompare(b.id))
    assert.deepEqual(byId(grant.others), byId(expected.others))
    caps.set(name, grant.granted)
    assert.ok([...caps.values()].reduce((sum, cap) => sum + cap, 0) <= 10)
  }
})

test('lends the part of an instance that has left at once, and of one that is gone when it expires', async () => {
  await redis.command('FLUSHALL')
  const { storeOf } = await openStores(single())
  const [gone, left, stays] = [storeOf('gone'), storeOf('left'), storeOf('stays')]
  assert.equal((await gone.renew(KEY, { ...REQUEST, want: 4 })).granted, 4)
  assert.equal((await left.renew(KEY, { ...REQUEST, want: 4 })).granted, 4)
  assert.equal((await stays.renew(KEY, REQUEST)).granted, 2)
  await left.leave([KEY])
  assert.equal((await stays.renew(KEY, { ...REQUEST, held: 2 })).granted, 6)
  // As if the time of the lease had passed.
  const hash = 'mailmux:lease:sessions:store1'
  const [number = '', , ...rest] = (await redis.command('HGET', hash, 'gone')).split(' ')
  await redis.command('HSET', hash, 'gone', [number, '1', ...rest].join(' '))
  assert.equal((await stays.renew(KEY, { ...REQUEST, held: 6 })).granted, 10)
  assert.equal(await redis.command('HKEYS', hash), 'stays')
  assert.ok(Number(await redis.command('PTTL', hash)) > 15_000)
})

test('grants nothing for a while after a loss of data, and ignores a request that arrives late', async () => {
  await redis.command('FLUSHALL')
  const { client, storeOf } = await openStores(single())
  const store = storeOf('a')
  assert.equal((await store.renew(KEY, { ...REQUEST, held: 3 })).granted, 3)
  await until(
    START_DEADLINE_MS,
    async () => ((await store.renew(KEY, { ...REQUEST, held: 3 })).granted === 10 ? true : undefined),
    () => 'it never grows again',
  )
  const late = createRedisLeases(client, 'mailmux:', 'a')
  await assert.rejects(late.renew(KEY, { ...REQUEST, want: 1 }), /LATE/u)
  assert.match(await redis.command('HGET', 'mailmux:lease:sessions:store1', 'a'), /^\d+ \d+ 10 0 0$/u)
})

test('grants nothing for a while after a loss of data to an instance that holds nothing', async () => {
  await redis.command('FLUSHALL')
  const { storeOf } = await openStores(single())
  assert.equal((await storeOf('a').renew(KEY, { ...REQUEST, again: true })).granted, 0)
  assert.equal((await storeOf('b').renew(KEY, { ...REQUEST, held: 10, again: true })).granted, 10)
})

test('fields that others have written are dropped, and a key of another type is an error', async () => {
  await redis.command('FLUSHALL')
  const { storeOf } = await openStores(single())
  const hash = 'mailmux:lease:sessions:store1'
  await redis.command('HSET', hash, 'x', 'rubbish', 'y', '1 99999999999999 10 10 10')
  const { granted, others } = await storeOf('a').renew(KEY, REQUEST)
  assert.deepEqual([granted, others], [10, []])
  await redis.command('SET', hash, 'text')
  await assert.rejects(storeOf('a').renew(KEY, REQUEST), /WRONGTYPE/u)
})

async function useBlocks(client: RedisClient): Promise<void> {
  const blocks = createRedisBlocks(client, 'mailmux:')
  const block = { kind: 'user', target: 'alice@example.test', by: 'op', sinceMs: 1, untilMs: undefined } as const
  const longer = { ...block, untilMs: 2 }
  assert.deepEqual([await blocks.add(block), await blocks.list()], [true, [block]])
  assert.deepEqual([await blocks.add(longer), await blocks.list()], [true, [longer]])
  assert.deepEqual([await blocks.remove([block]), await blocks.remove([block]), await blocks.list()], [1, 0, []])
}

describe('with the documented rights', () => {
  test('alone', async () => {
    await redis.command('FLUSHALL')
    const { client } = await openStores(single())
    await useBlocks(client)
    await redis.command('HSET', 'mailmux:blocks', 'user x', 'rubbish', 'host y', '{}')
    assert.deepEqual(await createRedisBlocks(client, 'mailmux:').list(), [])
  })

  test('under Sentinels', async () => {
    const watched = await startWatchedRedis(scene, {
      args: user('limits'),
      sentinel: [`user mailmux ${documentedSentinelAcl('of-sentinels').join(' ')}`],
    })
    const { client, storeOf } = await openStores({
      kind: 'sentinels',
      name: MASTER_NAME,
      addresses: watched.addresses.map(endpoint),
      username: 'mailmux',
      password: new Secret('of-sentinels'),
    })
    assert.equal((await storeOf('a').renew(KEY, REQUEST)).granted, 10)
    await useBlocks(client)
  })

  test('in a Cluster, each limit on its own node', async () => {
    const cluster = await startRedisCluster(scene, { args: user('limits', 'Cluster') })
    const { client, storeOf } = await openStores({ kind: 'cluster', nodes: cluster.nodes.map(endpoint) })
    for (const key of ['sessions store1', 'logins store1', 'sessions store2', 'logins store2'])
      assert.equal((await storeOf('a').renew(key, REQUEST)).granted, 10)
    await useBlocks(client)
  })
})
