/** Shared limits in a real Redis: the scripts agree with their model in memory, need no other rights than documented, and work in a Cluster. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { RedisServers } from '../../src/config/settings.ts'
import { openRedisClient } from '../../src/directory/redis/client.ts'
import { createRedisLimits } from '../../src/limits/redis-limits.ts'
import type { SiteClaims, SiteStore } from '../../src/limits/site-store.ts'
import { Secret } from '../../src/secret.ts'
import { START_DEADLINE_MS, within } from '../support/deadline.ts'
import { documentedAcl, type AclUse } from '../support/documented-acl.ts'
import { between, createRandom, pick } from '../support/random.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { startRedis, type Redis } from '../support/redis.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { silent } from '../unit/directory/scripted-redis.ts'
import { MemorySite } from '../unit/limits/memory-site.ts'

const IDS = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb', 'cccccccccccc'] as const
const KEYS = ['sessions_per_user imap alice@example.test', 'sessions_per_domain imap example.test'] as const
const HASH = 'mailmux:limit:sessions_per_user:imap:alice@example.test'
const user = (...uses: AclUse[]): string[] => ['--user', 'mailmux', ...documentedAcl('of-redis', ...uses)]

let scene: Scene
let redis: Redis
before(async () => {
  scene = openScene()
  redis = await startRedis(scene, { args: user('limits') })
})
after(() => scene.close())

async function openStores(servers: RedisServers): Promise<(id: string) => SiteStore> {
  const client = openRedisClient(
    {
      kind: 'redis',
      servers,
      username: 'mailmux',
      password: new Secret('of-redis'),
      tls: undefined,
      prefix: 'mailmux:',
      timeoutMs: 2000,
      cache: { maxEntries: 1000, lifetimeMs: 60_000, negativeLifetimeMs: 60_000, maxStaleMs: 60_000 },
      snapshotFile: undefined,
      snapshotSlot: 1,
    },
    silent,
    () => undefined,
  )
  scene.closeLater(() => client.close())
  await within(START_DEADLINE_MS, client.connected, () => 'no connection to Redis')
  return (id) => createRedisLimits(client, 'mailmux:', id)
}

const single = (): RedisServers => ({
  kind: 'single',
  server: { host: '127.0.0.1', port: redis.port },
  database: 0,
})

const counts = (max: number, ...keys: string[]): SiteClaims => ({
  counts: keys.map((key) => ({ key, max, own: undefined })),
  rates: [],
})

async function now(): Promise<number> {
  return Number((await redis.command('TIME')).split('\n')[0])
}

test('takes and writes as the model does', async () => {
  await redis.command('FLUSHALL')
  const storeOf = await openStores(single())
  const memory = new MemorySite()
  const random = createRandom(7)
  for (let step = 0; step < 400; step++) {
    const id = pick(random, [...IDS])
    const [real, model] = [storeOf(id), memory.storeOf(id)]
    const keys = between(random, 0, 1) === 0 ? [KEYS[0]] : [...KEYS]
    if (between(random, 0, 3) === 0) {
      const written = keys.map((key) => [key, between(random, 0, 3)] as const)
      await Promise.all([real.put(written), model.put(written)])
      continue
    }
    const own = between(random, 0, 2) === 0 ? between(random, 0, 2) : undefined
    const claims = { counts: keys.map((key) => ({ key, max: between(random, 1, 7), own })), rates: [] }
    assert.deepEqual((await real.take(claims, IDS)).refusal, (await model.take(claims, IDS)).refusal, String(step))
  }
  const fields = (await redis.command('HGETALL', HASH)).split('\n')
  const held = Object.fromEntries(
    IDS.flatMap((id) => {
      const at = fields.indexOf(id)
      return at < 0 ? [] : [[id, Number(fields[at + 1]?.split(' ')[0])]]
    }),
  )
  assert.deepEqual(held, memory.fields(KEYS[0]))
})

test('removes the counts of instances that are gone before it makes the sum, and no others', async () => {
  await redis.command('FLUSHALL')
  const storeOf = await openStores(single())
  const [own, other] = IDS
  const at = await now()
  // In this order: gone; begun after the list was read; live; not written again in time; of a clock that was ahead; of others.
  const fields = ['f1', `4 ${at - 20}`, 'f2', `1 ${at - 5}`, other, `1 ${at - 600}`, 'f3', `4 ${at - 1000}`]
  await redis.command('HSET', HASH, ...fields, 'f4', `4 ${at + 5000}`, 'f5', 'rubbish')
  assert.equal((await storeOf(own).take(counts(3, KEYS[0]), [own, other, 'f3'])).refusal, undefined)
  assert.deepEqual((await redis.command('HKEYS', HASH)).split('\n').sort(), [own, other, 'f2'].sort())
  assert.deepEqual((await storeOf(own).take(counts(3, KEYS[0]), [own, other])).refusal, {
    isCount: true,
    index: 0,
    waitMs: 0,
  })
  assert.ok(Number(await redis.command('PTTL', HASH)) > 800_000)
  await storeOf(own).put([[KEYS[0], 0]])
  assert.deepEqual((await redis.command('HKEYS', HASH)).split('\n').sort(), [other, 'f2'].sort())
})

test('a rate is exact over instances, and a charge is never refused', async () => {
  await redis.command('FLUSHALL')
  const storeOf = await openStores(single())
  const rate = { count: 5, perMs: 600_000 }
  const key = 'user_login_rate imap alice@example.test'
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      storeOf(IDS[index % 2] ?? '').take({ counts: [], rates: [{ key, rate }] }, IDS),
    ),
  )
  const refusals = answers.flatMap(({ refusal }) => refusal ?? [])
  assert.equal(refusals.length, 15)
  assert.ok(refusals.every(({ isCount, waitMs }) => !isCount && waitMs > 110_000 && waitMs <= 120_000))
  const waits = []
  for (let count = 0; count < 20; count++) waits.push(await storeOf(IDS[0]).charge('login_rate imap x', rate))
  assert.deepEqual(
    waits.map((ms) => ms > 0),
    waits.map((_, index) => index >= 4),
  )
  assert.ok(Math.max(...waits) <= 2 * rate.perMs)
})

test('a refused login has taken nothing of any limit', async () => {
  await redis.command('FLUSHALL')
  const store = (await openStores(single()))(IDS[0])
  const rates = [{ key: 'user_login_rate imap alice@example.test', rate: { count: 1, perMs: 600_000 } }]
  const full = { counts: KEYS.map((key, index) => ({ key, max: 1 - index, own: undefined })), rates }
  assert.equal((await store.take(full, IDS)).refusal?.index, 1)
  assert.equal(await redis.command('DBSIZE'), '0')
})

test('knows its sign until the data is lost, lists the instances with a heartbeat, and leaves nothing else', async () => {
  await redis.command('FLUSHALL')
  const store = (await openStores(single()))(IDS[0])
  assert.deepEqual(await store.look(), { live: [], isKnown: false })
  await store.enter()
  const at = await now()
  await redis.command('ZADD', 'mailmux:instances', String(at), `host/${IDS[0]}`, String(at - 60), `host/${IDS[1]}`)
  await redis.command('ZADD', 'mailmux:instances', String(at), 'rubbish')
  assert.deepEqual(await store.look(), { live: [IDS[0]], isKnown: true })
  await redis.command('DEL', 'mailmux:instances')
  await redis.command('FLUSHALL')
  assert.deepEqual(await store.look(), { live: [], isKnown: false })
})

test('a key of another type has no count and no pace: it is replaced, and the other limits stay shared', async () => {
  await redis.command('FLUSHALL')
  const store = (await openStores(single()))(IDS[0])
  await redis.command('SET', HASH, 'text')
  assert.equal((await store.take(counts(1, KEYS[0]), IDS)).refusal, undefined)
  assert.equal((await store.take(counts(1, KEYS[0]), IDS)).refusal?.index, 0)
  await redis.command('SET', HASH, 'text')
  await store.put([[KEYS[0], 1]])
  assert.equal((await store.take(counts(1, KEYS[0]), IDS)).refusal?.index, 0)
  await redis.command('SET', HASH, 'text')
  await store.put([[KEYS[0], 0]])
  assert.equal(await redis.command('EXISTS', HASH), '0')
  const [pace, rate] = ['mailmux:limit:user_login_rate:imap:alice@example.test', { count: 1, perMs: 600_000 }]
  const claims = { counts: [], rates: [{ key: 'user_login_rate imap alice@example.test', rate }] }
  await redis.command('HSET', pace, 'a', 'b')
  assert.equal((await store.take(claims, IDS)).refusal, undefined)
  assert.equal((await store.take(claims, IDS)).refusal?.index, 0)
  await redis.command('DEL', pace)
  await redis.command('HSET', pace, 'a', 'b')
  assert.ok((await store.charge(claims.rates[0]?.key ?? '', rate)) > 0)
})

test('a rate keeps no user out for longer than its time, whatever the clock of Redis has done', async () => {
  await redis.command('FLUSHALL')
  const store = (await openStores(single()))(IDS[0])
  const rate = { count: 4, perMs: 60_000 }
  const claims = { counts: [], rates: [{ key: 'user_login_rate imap alice@example.test', rate }] }
  // Written an hour ahead, as after a step of the clock or a failover; and what is no time.
  for (const pace of [String(((await now()) + 3600) * 1e6), '1e308', 'inf', 'nan', '-inf', 'text']) {
    await redis.command('SET', 'mailmux:limit:user_login_rate:imap:alice@example.test', pace)
    const { refusal } = await store.take(claims, IDS)
    assert.ok(!refusal || (refusal.waitMs > 0 && refusal.waitMs <= rate.perMs / rate.count), JSON.stringify(refusal))
  }
})

describe('in a Cluster', () => {
  test('each limit is on its own node, and what a refused login has taken is told', async () => {
    const cluster = await startRedisCluster(scene, { args: user('limits', 'Cluster') })
    const nodes = cluster.nodes.map((text) => {
      const [host = '', port = ''] = text.split(':')
      return { host, port: Number(port) }
    })
    const store = (await openStores({ kind: 'cluster', nodes }))(IDS[0])
    await store.enter()
    assert.equal((await store.look()).isKnown, true)
    const keys = Array.from({ length: 20 }, (_, index) => `sessions_per_user imap user${index}@example.test`)
    assert.deepEqual(await store.take(counts(1, ...keys), IDS), { refusal: undefined, isTorn: true })
    assert.deepEqual((await store.take(counts(1, ...keys), IDS)).refusal?.isCount, true)
    await store.put(keys.map((key) => [key, 0]))
    assert.equal((await store.take(counts(1, ...keys), IDS)).refusal, undefined)
    assert.ok((await store.charge('login_rate imap x', { count: 1, perMs: 60_000 })) > 0)
  })
})
