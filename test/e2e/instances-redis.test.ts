/** The exchange between instances in a real Redis, with the rights that docs/operations.md names: alone, under Sentinels, as a Cluster. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { Endpoint, RedisServers, RedisSettings } from '../../src/config/settings.ts'
import { openInstances, type Instances } from '../../src/instances/instances.ts'
import { redisExchange } from '../../src/instances/redis-exchange.ts'
import type { Log } from '../../src/log.ts'
import { Secret } from '../../src/secret.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { documentedAcl, documentedSentinelAcl, type AclUse } from '../support/documented-acl.ts'
import { startRedis } from '../support/redis.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { MASTER_NAME, startWatchedRedis } from '../support/redis-sentinel.ts'
import { openScene, type Scene } from '../support/scene.ts'

/** After an outage: the reconnection, and one heartbeat. */
const RECOVERY_MS = START_DEADLINE_MS * 2

let scene: Scene
before(() => {
  scene = openScene()
})
after(() => scene.close())

const user = (...uses: AclUse[]): string[] => ['--user', 'mailmux', ...documentedAcl('of-redis', ...uses)]

function endpoint(text: string): Endpoint {
  const [host = '', port = ''] = text.split(':')
  return { host, port: Number(port) }
}

function open(servers: RedisServers, host: string): { instances: Instances; lines: string[] } {
  const lines: string[] = []
  const keep = (fields: object | string, text?: string): void =>
    void lines.push(`${text ?? ''} ${JSON.stringify(fields)}`)
  const log: Log = { debug: () => undefined, info: keep, warn: keep, error: keep }
  const settings: RedisSettings = {
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
  }
  const instances = openInstances({
    host,
    id: randomBytes(6).toString('hex'),
    facts: () => Promise.resolve({ pid: 7, version: '1.2.3', generation: 1, workers: 2, sessions: 5, since: 1 }),
    openExchange: redisExchange({ settings, current: () => settings, log, noteShortage: () => undefined }),
    alone: 'no Redis',
    log,
  })
  scene.closeLater(() => instances.close())
  return { instances, lines }
}

/** The hosts that answer, once they are these. */
async function listed(instances: Instances, wanted: readonly string[], ms = START_DEADLINE_MS): Promise<void> {
  let last: unknown
  await until(
    ms,
    async () => {
      const told = await instances.list()
      last = told
      const up = told.instances.filter(({ state }) => state === 'up').map(({ host }) => host)
      const isComplete = told.scope === 'all' && up.length === told.instances.length
      return (isComplete && up.join() === wanted.join()) || undefined
    },
    () => `not listed: ${JSON.stringify(last)}`,
  )
}

/** Two instances list each other; one stops in order. */
async function listEachOther(servers: RedisServers): Promise<void> {
  const [first, second] = [open(servers, 'mail1'), open(servers, 'mail2')]
  await listed(first.instances, ['mail1', 'mail2'])
  await listed(second.instances, ['mail1', 'mail2'])
  await second.instances.close()
  await listed(first.instances, ['mail1'])
  await first.instances.close()
  const lines = [...first.lines, ...second.lines].filter((line) => line.includes('NOPERM'))
  assert.deepEqual(lines, [])
}

describe('a Redis', () => {
  test('with the rights of the documentation, in another database than 0', async () => {
    const redis = await startRedis(scene, { args: user('instances', 'database') })
    const server = { host: '127.0.0.1', port: redis.port }
    await listEachOther({ kind: 'single', server, database: 1 })
    const servers: RedisServers = { kind: 'single', server, database: 1 }
    const { instances } = open(servers, 'mail3')
    await listed(instances, ['mail3'])
    // An instance lists itself at once, before its first heartbeat has reached Redis.
    await until(
      START_DEADLINE_MS,
      async () => (await redis.command('-n', '1', 'ZCARD', 'mailmux:instances')) === '1' || undefined,
      () => 'the name of the instance does not reach Redis',
    )
    // The same prefix in another database is another site.
    const other = open({ kind: 'single', server, database: 0 }, 'other')
    await listed(other.instances, ['other'])
    await listed(instances, ['mail3'])
  })

  test('that dies and comes back empty is filled by the next heartbeats, with one line in the log', async () => {
    const redis = await startRedis(scene, { args: user('instances') })
    const servers: RedisServers = {
      kind: 'single',
      server: { host: '127.0.0.1', port: redis.port },
      database: 0,
    }
    const [first, second] = [open(servers, 'mail1'), open(servers, 'mail2')]
    await listed(first.instances, ['mail1', 'mail2'])
    await redis.kill()
    await until(
      START_DEADLINE_MS,
      async () => (await first.instances.list()).incomplete,
      () => 'the outage is not reported',
    )
    assert.deepEqual(
      (await first.instances.list()).instances.map(({ host, state }) => [host, state]),
      [['mail1', 'up']],
    )
    await until(
      START_DEADLINE_MS,
      () => first.lines.some((line) => line.includes('ECONNREFUSED')) || undefined,
      () => first.lines.join('\n'),
    )
    await redis.restart()
    await listed(first.instances, ['mail1', 'mail2'], RECOVERY_MS)
    await listed(second.instances, ['mail1', 'mail2'], RECOVERY_MS)
    const lines = first.lines.filter((line) => line.includes('"step":"connection"'))
    assert.equal(lines.length, 2, lines.join('\n'))
    assert.match(lines[0]!, /fails/u)
    assert.match(lines[1]!, /works again/u)
  })

  test('that gives no rights for it is named in the log once for each right, and again when it gives them', async () => {
    const redis = await startRedis(scene, { args: user() })
    const servers: RedisServers = {
      kind: 'single',
      server: { host: '127.0.0.1', port: redis.port },
      database: 0,
    }
    const { instances, lines } = open(servers, 'mail1')
    await until(
      START_DEADLINE_MS,
      async () => {
        const { incomplete } = await instances.list()
        return incomplete?.includes('NOPERM') === true ? true : undefined
      },
      () => lines.join('\n'),
    )
    for (let count = 0; count < 3; count++)
      assert.deepEqual(
        (await instances.list()).instances.map(({ state }) => state),
        ['up'],
      )
    await until(
      START_DEADLINE_MS,
      () => lines.some((line) => line.includes('subscribe')) || undefined,
      () => lines.join('\n'),
    )
    const failing = (step: string): number =>
      lines.filter((line) => line.includes('fails') && line.includes(`"step":"${step}"`)).length
    for (const step of ['heartbeat', 'list', 'publish', 'subscribe']) assert.ok(failing(step) <= 1, lines.join('\n'))
    assert.equal(failing('list'), 1)
    await redis.command('ACL', 'SETUSER', 'mailmux', ...documentedAcl('of-redis', 'instances'))
    await listed(instances, ['mail1'], RECOVERY_MS)
    const other = open(servers, 'mail2')
    await listed(other.instances, ['mail1', 'mail2'], RECOVERY_MS)
  })
})

test('a Redis under Sentinels', async () => {
  const watched = await startWatchedRedis(scene, {
    args: user('instances'),
    sentinel: [`user mailmux ${documentedSentinelAcl('of-sentinels').join(' ')}`],
  })
  await listEachOther({
    kind: 'sentinels',
    name: MASTER_NAME,
    addresses: watched.addresses.map(endpoint),
    username: 'mailmux',
    password: new Secret('of-sentinels'),
  })
})

test('a Cluster, also after the death of the master that an instance listens to', async () => {
  const cluster = await startRedisCluster(scene, { args: user('instances', 'Cluster'), replicas: true })
  const servers: RedisServers = { kind: 'cluster', nodes: cluster.nodes.map(endpoint) }
  await listEachOther(servers)
  const [first, second] = [open(servers, 'mail3'), open(servers, 'mail4')]
  await listed(first.instances, ['mail3', 'mail4'], RECOVERY_MS)
  await cluster.masters[0]!.kill()
  await listed(first.instances, ['mail3', 'mail4'], RECOVERY_MS)
  await listed(second.instances, ['mail3', 'mail4'], RECOVERY_MS)
})
