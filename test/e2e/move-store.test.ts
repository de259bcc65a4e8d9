/** The hold and the switch of a move, in a real Redis and in a real Cluster. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { RedisServers, RedisSettings } from '../../src/config/settings.ts'
import { openRedisClient, type RedisClient } from '../../src/directory/redis/client.ts'
import { createMoveStore, type MoveStore } from '../../src/directory/redis/move-store.ts'
import type { Log } from '../../src/log.ts'
import { Secret } from '../../src/secret.ts'
import { documentedAcl, type AclUse } from '../support/documented-acl.ts'
import { startRedis } from '../support/redis.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { openScene, type Scene } from '../support/scene.ts'

const TOKEN = 'a'.repeat(32)
const OTHER = 'b'.repeat(32)
const BY = 'admin1/4711'

const SETTINGS: Omit<RedisSettings, 'servers'> = {
  kind: 'redis',
  username: 'mailmux',
  password: new Secret('of-redis'),
  tls: undefined,
  prefix: 'mailmux:',
  timeoutMs: 5000,
  cache: { maxEntries: 10, lifetimeMs: 60_000, negativeLifetimeMs: 60_000, maxStaleMs: 60_000 },
  snapshotFile: undefined,
  snapshotSlot: 1,
}

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** With the rights that the documentation names, and no others. */
const user = (...uses: AclUse[]): string[] => [
  '--user',
  'mailmux',
  ...documentedAcl('of-redis', 'instances', 'move', ...uses),
]

type Server = { servers: RedisServers; command: (...words: string[]) => Promise<string> }

const SERVERS: Record<string, (scene: Scene) => Promise<Server>> = {
  'one Redis': async (scene) => {
    const redis = await startRedis(scene, { args: user() })
    const server = { host: '127.0.0.1', port: redis.port }
    return { servers: { kind: 'single', server, database: 0 }, command: redis.command }
  },
  'a Cluster': async (scene) => {
    const cluster = await startRedisCluster(scene, { args: user('Cluster') })
    const nodes = cluster.masters.map(({ port }) => ({ host: '127.0.0.1', port }))
    return { servers: { kind: 'cluster', nodes }, command: cluster.command }
  },
}

for (const [what, start] of Object.entries(SERVERS))
  describe(`in ${what}`, () => {
    const scene = openScene()
    let redis: RedisClient
    let store: MoveStore
    let command: Server['command']
    before(async () => {
      const server = await start(scene)
      command = server.command
      redis = openRedisClient({ ...SETTINGS, servers: server.servers }, silent, () => undefined)
      scene.closeLater(() => redis.close())
      await redis.connected
      store = createMoveStore(redis, 'mailmux:')
    })
    after(() => scene.close())

    const key = (user: string): string => `mailmux:user:${user}`
    const route = (user: string, ...fields: string[]): Promise<string> =>
      command('HSET', key(user), 'backend', 'store1', ...fields)
    const fields = async (user: string): Promise<Record<string, string>> => {
      const words = (await command('HGETALL', key(user))).split('\n').filter((word) => word !== '')
      return Object.fromEntries(words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1]!]] : [])))
    }
    const nowSeconds = async (): Promise<number> => Number((await command('TIME')).split('\n')[0])

    test('takes, renews and switches', async () => {
      await route('ann', 'login', 'inner')
      const startSeconds = await nowSeconds()
      assert.deepEqual(await store.take('ann', 'store1', TOKEN, BY, 60), { kind: 'taken' })
      const { status, hold = '', hold_by: by = '' } = await fields('ann')
      assert.equal(status, 'hold')
      const [token, till] = hold.split(' ')
      assert.equal(token, TOKEN)
      assert.ok(Number(till) >= startSeconds + 60 && Number(till) < startSeconds + 120, hold)
      assert.match(by, /^admin1\/4711 \d+$/)

      assert.equal(await store.renew('ann', TOKEN, 600), true)
      const record = await store.read('ann')
      assert.equal(record.backend, 'store1')
      assert.equal(record.status, 'hold')
      assert.equal(record.hold?.by, BY)
      assert.ok(Number((await fields('ann')).hold?.split(' ')[1]) >= startSeconds + 600)

      assert.deepEqual(await store.switch('ann', TOKEN, 'store1', 'store2'), { kind: 'switched' })
      assert.deepEqual(await fields('ann'), { backend: 'store2', login: 'inner' })
      // A late second switch of the same move changes nothing.
      assert.deepEqual(await store.switch('ann', TOKEN, 'store1', 'store2'), { kind: 'lost', backend: 'store2' })
      assert.equal(await store.renew('ann', TOKEN, 60), false)
      assert.equal(await store.release('ann', TOKEN), 'store2')
    })

    test('releases to the old route, and lets no late switch take effect', async () => {
      await route('bob', 'status', 'active')
      await store.take('bob', 'store1', TOKEN, BY, 60)
      assert.equal(await store.release('bob', OTHER), 'store1')
      assert.equal((await fields('bob')).status, 'hold')
      assert.equal(await store.release('bob', TOKEN), 'store1')
      assert.deepEqual(await fields('bob'), { backend: 'store1' })
      assert.deepEqual(await store.switch('bob', TOKEN, 'store1', 'store2'), { kind: 'lost', backend: 'store1' })
      assert.deepEqual(await store.read('bob'), { backend: 'store1', status: undefined, hold: undefined })
    })

    test('refuses a second move, and says who holds the user and since when', async () => {
      await route('cat')
      await store.take('cat', 'store1', TOKEN, BY, 60)
      const since = Number((await fields('cat')).hold_by?.split(' ')[1])
      assert.deepEqual(await store.take('cat', 'store1', OTHER, 'admin2/1', 60), {
        kind: 'held',
        by: BY,
        sinceSeconds: since,
      })
      assert.deepEqual(await store.switch('cat', OTHER, 'store1', 'store2'), { kind: 'lost', backend: 'store1' })
      // The same move may repeat its request, since the first answer may be lost.
      assert.deepEqual(await store.take('cat', 'store1', TOKEN, BY, 60), { kind: 'taken' })
      assert.equal((await fields('cat')).hold_by, `${BY} ${since}`)
    })

    test('an expired hold has no effect, and may be taken over', async () => {
      const past = (await nowSeconds()) - 1
      await route('dan', 'status', 'hold', 'hold', `${TOKEN} ${past}`, 'hold_by', `${BY} 1`)
      assert.deepEqual(await store.read('dan'), { backend: 'store1', status: undefined, hold: undefined })
      assert.equal(await store.renew('dan', TOKEN, 60), false)
      assert.deepEqual(await store.switch('dan', TOKEN, 'store1', 'store2'), { kind: 'lost', backend: 'store1' })
      assert.deepEqual(await store.take('dan', 'store1', OTHER, 'admin2/1', 60), { kind: 'taken' })
      assert.match((await fields('dan')).hold_by!, /^admin2\/1 \d{10}$/)
    })

    test('an expired hold is removed by its own move alone', async () => {
      const past = (await nowSeconds()) - 1
      await route('eve', 'status', 'hold', 'hold', `${TOKEN} ${past}`)
      await store.release('eve', OTHER)
      assert.equal((await fields('eve')).status, 'hold')
      await store.release('eve', TOKEN)
      assert.deepEqual(await fields('eve'), { backend: 'store1' })
    })

    test('takes no user who is unknown, elsewhere, disabled or on hold by an operator', async () => {
      assert.deepEqual(await store.take('nobody', 'store1', TOKEN, BY, 60), { kind: 'unknown' })
      assert.deepEqual(await fields('nobody'), {})
      await route('fay')
      assert.deepEqual(await store.take('fay', 'store3', TOKEN, BY, 60), { kind: 'elsewhere', backend: 'store1' })
      await route('gil', 'status', 'disabled')
      assert.deepEqual(await store.take('gil', 'store1', TOKEN, BY, 60), { kind: 'status', status: 'disabled' })
      for (const hold of [[], ['hold', 'nonsense']]) {
        await route('hal', 'status', 'hold', ...hold)
        const taken = await store.take('hal', 'store1', TOKEN, BY, 60)
        assert.deepEqual(taken, { kind: 'held', by: undefined, sinceSeconds: undefined })
        assert.deepEqual((await store.read('hal')).hold, { by: undefined, sinceSeconds: undefined })
      }
      assert.equal((await fields('gil')).status, 'disabled')
    })

    test('does not overwrite a route that an operator changes during the move', async () => {
      await route('ida')
      await store.take('ida', 'store1', TOKEN, BY, 60)
      await command('HSET', key('ida'), 'backend', 'store9')
      assert.deepEqual(await store.switch('ida', TOKEN, 'store1', 'store2'), { kind: 'lost', backend: 'store9' })
      assert.equal(await store.release('ida', TOKEN), 'store9')
      assert.deepEqual(await fields('ida'), { backend: 'store9' })
    })

    test('keeps a status that an operator sets during the move', async () => {
      await route('joe')
      await store.take('joe', 'store1', TOKEN, BY, 60)
      await command('HSET', key('joe'), 'status', 'disabled')
      assert.equal((await store.switch('joe', TOKEN, 'store1', 'store2')).kind, 'lost')
      await store.release('joe', TOKEN)
      assert.deepEqual(await fields('joe'), { backend: 'store1', status: 'disabled' })
    })

    test('names a key of another type as a failure of the directory', async () => {
      await command('SET', key('kim'), 'text')
      await assert.rejects(store.take('kim', 'store1', TOKEN, BY, 60), { code: 'directory-unavailable' })
    })
  })

for (const answer of [null, 7, [], ['other'], ['taken', {}], ['elsewhere']])
  test(`counts ${JSON.stringify(answer)} as no answer to a script`, async () => {
    const store = createMoveStore({ eval: () => Promise.resolve(answer) }, 'mailmux:')
    await assert.rejects(store.take('ann', 'store1', TOKEN, BY, 60), { code: 'directory-unavailable' })
    await assert.rejects(store.switch('ann', TOKEN, 'store1', 'store2'), { code: 'directory-unavailable' })
  })
