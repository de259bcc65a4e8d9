/** A real Redis with the rights that docs/operations.md names, and no others: alone in another database, under Sentinels, as a Cluster. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Endpoint, RedisServers, RedisSettings } from '../../src/config/settings.ts'
import type { Log } from '../../src/log.ts'
import { probeRedis } from '../../src/inspect/probe-redis.ts'
import type { BackendStateOrder, Directory } from '../../src/directory/directory.ts'
import { openCachedDirectory } from '../../src/directory/remembered/cached-directory.ts'
import { Secret } from '../../src/secret.ts'
import { START_DEADLINE_MS, until, within } from '../support/deadline.ts'
import { documentedAcl, documentedSentinelAcl, type AclUse } from '../support/documented-acl.ts'
import { MASTER_NAME, startWatchedRedis } from '../support/redis-sentinel.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { startRedis } from '../support/redis.ts'
import { openScene, type Scene } from '../support/scene.ts'

const ALICE = 'alice@example.test'
const NEW = 'dora@example.test'

function endpoint(text: string): Endpoint {
  const [host = '', port = ''] = text.split(':')
  return { host, port: Number(port) }
}

function openWith(servers: RedisServers) {
  const lines: string[] = []
  const keep = (fields: object | string, text?: string): void =>
    void lines.push(`${text ?? ''} ${JSON.stringify(fields)}`)
  const log: Log = { debug: keep, info: keep, warn: keep, error: keep }
  const settings: RedisSettings = {
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
  const ups: boolean[] = []
  const directory = openCachedDirectory(settings, log, {
    directoryIsUp: (up) => ups.push(up),
    directoryHasLostData: () => undefined,
    directoryAnsweredBadly: () => undefined,
  })
  return { directory, ups, lines, settings }
}

/** Everything that mailmux does with Redis, by one user of it. */
async function useAll(
  { directory, lines, settings }: ReturnType<typeof openWith>,
  command: (...words: string[]) => Promise<string>,
): Promise<void> {
  const route = `mailmux:user:${ALICE}`
  try {
    await within(START_DEADLINE_MS, directory.connected, () => `no connection: ${lines.join('\n')}`)
    await command('HSET', route, 'backend', 'store1')
    assert.equal((await directory.lookup(ALICE)).entry?.backend, 'store1')
    await command('HSET', route, 'backend', 'store2')
    await until(
      START_DEADLINE_MS,
      async () => {
        const { entry, source } = await directory.lookup(ALICE)
        return (entry?.backend === 'store2' && source === 'cache') || undefined
      },
      () => `the change is not told: ${lines.join('\n')}`,
    )
    assert.equal((await directory.reserve?.(NEW, 'store3', 1000))?.source, 'placed')
    await directory.commit?.(NEW, 'store3')
    assert.equal((await directory.lookup(NEW)).entry?.backend, 'store3')
    await setStates(directory, command)
    await reassignUser(directory, command)
    assert.doesNotMatch(lines.join('\n'), /NOPERM|unavailable/u)
    // `mailmux check --probe` misses no right either, and leaves the marker as it is.
    assert.deepEqual(await probeRedis(settings, true), [])
    assert.match(await command('HGETALL', 'mailmux:marker'), /^id\n([0-9a-f-]{36})\nsettled\n\1$/u)
  } finally {
    await directory.close()
  }
}

/** The routes of a user whose back end is drained with the order to reassign its users. */
async function reassignUser(directory: Directory, command: (...words: string[]) => Promise<string>): Promise<void> {
  const [route, state] = [`mailmux:user:${ALICE}`, 'mailmux:backend:store1']
  const reassign = () => directory.reassign?.(ALICE, 'store1', 'store2')
  await command('HSET', route, 'backend', 'store1', 'login', 'al')
  assert.equal(await reassign(), undefined)
  const order = { state: 'drain', over: undefined, by: 'one', isForced: false } as const
  assert.deepEqual(await directory.setBackendState?.('store1', { ...order, reassign: true }), { result: 'changed' })
  assert.deepEqual(await directory.setBackendState?.('store1', { ...order, reassign: true }), { result: 'unchanged' })
  assert.equal(await command('HGET', state, 'reassign'), '1')
  for (const status of ['hold', 'disabled'] as const) {
    await command('HSET', route, 'status', status)
    assert.deepEqual(await reassign(), { backend: 'store1', login: 'al', status })
  }
  await command('HDEL', route, 'status')
  const moved = { backend: 'store2', login: 'al', status: 'active' }
  assert.deepEqual([await reassign(), await reassign()], [moved, moved])
  assert.equal(await command('HGETALL', route), 'backend\nstore2\nlogin\nal')
  await command('HSET', route, 'backend', 'store3')
  assert.deepEqual(await reassign(), { ...moved, backend: 'store3' })
  assert.deepEqual(await directory.setBackendState?.('store1', order), { result: 'changed' })
  assert.equal(await command('HEXISTS', state, 'reassign'), '0')
  await command('DEL', state)
}

/** Orders of two operators for the state of one back end. */
async function setStates(directory: Directory, command: (...words: string[]) => Promise<string>): Promise<void> {
  const hash = async () => (await command('HGETALL', 'mailmux:backend:store1')).split('\n')
  const set = (state: BackendStateOrder['state'], over: string | undefined, by: string, isForced = false) =>
    directory.setBackendState?.('store1', { state, over, by, isForced })
  assert.deepEqual(await set('drain', '10m', 'one'), { result: 'changed' })
  const [, , , by, , since, , over] = await hash()
  assert.deepEqual([by, over], ['one', '10m'])
  assert.match(since ?? '', /^\d{10}$/u)
  assert.deepEqual(await directory.backendState?.('store1'), { state: 'drain', overMs: 600_000 })
  assert.deepEqual(await set('drain', '10m', 'two'), { result: 'unchanged' })
  const held = { result: 'held', over: '10m', by: 'one', sinceMs: Number(since) * 1000 }
  assert.deepEqual([await set('drain', '1h', 'two'), await set('drain', undefined, 'two')], [held, held])
  assert.deepEqual(await set('drain', '1h', 'one'), { result: 'changed' })
  assert.deepEqual(await set('drain', undefined, 'two', true), { result: 'changed' })
  assert.equal((await hash()).join(' ').replace(/\d{10}/u, 'SINCE'), 'state drain by two since SINCE')
  assert.deepEqual(await set('up', undefined, 'one'), { result: 'changed' })
  assert.deepEqual(await set('up', undefined, 'two'), { result: 'unchanged' })
  // By an operator with redis-cli: it is not known who.
  await command('HSET', 'mailmux:backend:store1', 'state', 'drain', 'over', '2h')
  await command('HDEL', 'mailmux:backend:store1', 'by', 'since')
  assert.deepEqual(await set('drain', '1h', 'one'), { result: 'held', over: '2h', by: undefined, sinceMs: undefined })
  assert.deepEqual(await directory.setBackendState?.('store1', undefined), { result: 'changed' })
  assert.deepEqual(await directory.setBackendState?.('store1', undefined), { result: 'unchanged' })
  assert.equal(await command('EXISTS', 'mailmux:backend:store1'), '0')
  await command('SET', 'mailmux:backend:store1', 'drain')
  assert.equal((await set('up', undefined, 'one'))?.result, 'wrong')
  assert.equal((await directory.setBackendState?.('store1', undefined))?.result, 'changed')
}

let scene: Scene
before(() => {
  scene = openScene()
})
after(() => scene.close())

const user = (...uses: AclUse[]): string[] => ['--user', 'mailmux', ...documentedAcl('of-redis', ...uses)]

describe('a Redis', () => {
  test('with the rights of the documentation serves from another database than 0', async () => {
    const redis = await startRedis(scene, { args: user('database', 'placement', 'states', 'instances', 'limits') })
    const opened = openWith({ kind: 'single', server: { host: '127.0.0.1', port: redis.port }, database: 1 })
    await useAll(opened, (...words) => redis.command('-n', '1', ...words))
  })

  for (const [what, { database, uses, cause }] of Object.entries({
    'no right to SELECT': { database: 1, uses: [] as AclUse[], cause: /NOPERM.*select/u },
    'no such database': { database: 99, uses: ['database'] as AclUse[], cause: /DB index is out of range/u },
  }))
    test(`with ${what} is unavailable, and never read in database 0`, async () => {
      const redis = await startRedis(scene, { args: user(...uses) })
      await redis.command('HSET', `mailmux:user:${ALICE}`, 'backend', 'store1')
      const { directory, ups, lines } = openWith({
        kind: 'single',
        server: { host: '127.0.0.1', port: redis.port },
        database,
      })
      try {
        await until(
          START_DEADLINE_MS,
          () => (cause.test(lines.join('\n')) ? true : undefined),
          () => lines.join('\n'),
        )
        await assert.rejects(directory.lookup(ALICE), { code: 'directory-unavailable' })
        assert.ok(!ups.includes(true))
        assert.equal(lines.filter((line) => line.includes('directory unavailable')).length, 1)
        await redis.command('ACL', 'SETUSER', 'mailmux', '+select')
        if (database === 1) await within(START_DEADLINE_MS, directory.connected, () => 'it does not come by itself')
      } finally {
        await directory.close()
      }
    })
})

test('a Redis under Sentinels with the rights of the documentation serves', async () => {
  const watched = await startWatchedRedis(scene, {
    args: user('placement', 'states', 'instances', 'limits'),
    sentinel: [`user mailmux ${documentedSentinelAcl('of-sentinels').join(' ')}`],
  })
  const opened = openWith({
    kind: 'sentinels',
    name: MASTER_NAME,
    addresses: watched.addresses.map(endpoint),
    username: 'mailmux',
    password: new Secret('of-sentinels'),
  })
  await useAll(opened, async (...words) => (await watched.master()).command(...words))
})

test('a Cluster with the rights of the documentation serves', async () => {
  const cluster = await startRedisCluster(scene, {
    args: user('placement', 'states', 'instances', 'limits', 'Cluster'),
  })
  await useAll(openWith({ kind: 'cluster', nodes: cluster.nodes.map(endpoint) }), cluster.command)
})

test('check --probe names each right that instances, shared limits, leases and blocks need', async () => {
  const redis = await startRedis(scene, { args: user() })
  const { directory, settings } = openWith({
    kind: 'single',
    server: { host: '127.0.0.1', port: redis.port },
    database: 0,
  })
  try {
    await within(START_DEADLINE_MS, directory.connected, () => 'no connection')
    let notes: string[] = []
    const probe = async (): Promise<string> => {
      notes = []
      const told = await probeRedis(settings, false, (note) => notes.push(note))
      return told.map(({ message }) => message).join('\n')
    }
    assert.match(await probe(), /^Redis: NOPERM.*eval.*: the rights that mailmux needs/u)
    await redis.command('ACL', 'SETUSER', 'mailmux', '+eval', '+get', '+zadd', '+publish')
    assert.equal(
      await probe(),
      'Redis: this user may not use TIME, SET, DEL, ZREM, ZCOUNT, ZREMRANGEBYSCORE, ZREVRANGEBYSCORE, PUBLISH, SUBSCRIBE, HGETALL, HDEL, HLEN, PEXPIRE: the rights that mailmux needs are in docs/operations.md',
    )
    await redis.command('ACL', 'SETUSER', 'mailmux', ...documentedAcl('of-redis', 'instances', 'limits'))
    assert.equal(await probe(), '')
    const ofRoutes = 'which only `mailmux route` and the routes of the API need'
    assert.deepEqual(notes, [`Redis: this user may not use EVALSHA, SCAN, ${ofRoutes}`])
    await redis.command(
      'ACL',
      'SETUSER',
      'mailmux',
      ...documentedAcl('of-redis', 'instances', 'limits', 'mailmux route'),
    )
    assert.deepEqual([await probe(), notes], ['', []])
    for (const command of [
      'HGETALL',
      'HDEL',
      'HLEN',
      'PEXPIRE',
      'TIME',
      'GET',
      'SET',
      'DEL',
      'ZREVRANGEBYSCORE',
      'PUBLISH',
    ]) {
      await redis.command('ACL', 'SETUSER', 'mailmux', `-${command}`)
      assert.match(await probe(), new RegExp(`may not use ${command}: the rights`, 'u'))
      await redis.command('ACL', 'SETUSER', 'mailmux', `+${command}`)
    }
    await redis.command('ACL', 'SETUSER', 'mailmux', '-eval')
    assert.match(await probe(), /NOPERM.*eval/u)
  } finally {
    await directory.close()
  }
})
