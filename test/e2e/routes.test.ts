/** `mailmux route` in a real Redis and in a real Cluster, with the rights that the documentation names for it and no others. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { listRoutes } from '../../src/cli/routes/list.ts'
import { getRoute, removeRoute, setRoute } from '../../src/cli/routes/single.ts'
import { documentedAcl, type AclUse } from '../support/documented-acl.ts'
import { startRedis } from '../support/redis.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { openScene, type Scene } from '../support/scene.ts'

const ROUTING = `
backends:
  store1: {host: 127.0.0.1, imap: 1143}
  store2: {host: 127.0.0.1, imap: 1143}
  store3: {host: 127.0.0.1, imap: 1143}
users:
  fixed@example.test: store3
domains:
  example.org: {backend: store3}
`
const TOKEN = 'a'.repeat(32)

/** With the rights of the documentation. */
const user = (...uses: AclUse[]): string[] => [
  '--user',
  'mailmux',
  ...documentedAcl('of-redis', 'mailmux route', ...uses),
]

type Server = { directory: string; command: (...words: string[]) => Promise<string> }

const SERVERS: Record<string, (scene: Scene) => Promise<Server>> = {
  'one Redis': async (scene) => {
    const redis = await startRedis(scene, { args: user() })
    return { directory: `url: "${redis.url}"`, command: redis.command }
  },
  'a Cluster': async (scene) => {
    const cluster = await startRedisCluster(scene, { args: user('Cluster') })
    return { directory: `nodes: ${JSON.stringify(cluster.nodes)}`, command: cluster.command }
  },
}

for (const [what, start] of Object.entries(SERVERS))
  describe(`mailmux route in ${what}`, () => {
    const scene = openScene()
    let command: Server['command']
    let config = ''
    before(async () => {
      const server = await start(scene)
      command = server.command
      mkdirSync(join(scene.directory, 'conf'))
      config = join(scene.directory, 'conf', 'mailmux.yaml')
      writeFileSync(join(scene.directory, 'conf', 'redis.password'), 'of-redis\n')
      writeFileSync(join(scene.directory, 'conf', 'routing.yaml'), ROUTING)
      writeFileSync(
        config,
        `hostname: mail.example.test
listeners: [{name: imap, protocol: imap, listen: "127.0.0.1:1", tls: none, allow_plaintext_auth: true}]
directory: {redis: {${server.directory}, username: mailmux, password_file: redis.password, timeout: 5s}}
`,
      )
    })
    after(() => scene.close())

    /** Runs a command. @returns its exit code and the lines that it prints */
    async function run(
      work: (terminal: Parameters<typeof listRoutes>[2]) => Promise<number>,
    ): Promise<{ code: number; out: string[]; errors: string[] }> {
      const [out, errors]: [string[], string[]] = [[], []]
      const code = await work({
        env: {},
        out: (line) => out.push(line),
        printError: (line) => errors.push(line),
        write: (text) => Promise.resolve(out.push(...text.trimEnd().split('\n')) > 0),
      })
      return { code, out, errors }
    }
    const fields = async (name: string): Promise<Record<string, string>> => {
      const words = (await command('HGETALL', `mailmux:user:${name}`)).split('\n').filter((word) => word !== '')
      return Object.fromEntries(
        words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1] ?? '']] : [])),
      )
    }
    const set = (name: string, backend?: string, options: Omit<Parameters<typeof setRoute>[2], 'config'> = {}) =>
      run((terminal) => setRoute(name, backend, { config, ...options }, terminal))
    const get = (name: string) => run((terminal) => getRoute(name, { config }, terminal))
    const remove = (name: string) => run((terminal) => removeRoute(name, { config }, terminal))

    test('set writes a route, changes a part of it and keeps the rest', async () => {
      assert.deepEqual(await set('ann@example.test', 'store1', { login: 'inner' }), {
        code: 0,
        out: ['ann@example.test: store1, login inner'],
        errors: [],
      })
      assert.deepEqual(await fields('ann@example.test'), { backend: 'store1', login: 'inner' })
      const moved = await set('ann@EXAMPLE.test', 'store2')
      assert.equal(moved.out[0], 'ann@example.test: store2, login inner; before: store1, login inner')
      assert.match(moved.out[1] ?? '', /end at a safe point.*no mail was copied, which `mailmux move` does/)
      await set('ann@example.test', undefined, { status: 'disabled' })
      assert.deepEqual(await fields('ann@example.test'), { backend: 'store2', login: 'inner', status: 'disabled' })
      await set('ann@example.test', undefined, { status: 'active', login: false })
      assert.deepEqual(await fields('ann@example.test'), { backend: 'store2' })
      const same = await set('ann@example.test', 'store2')
      assert.deepEqual([same.code, same.out[0]], [0, 'ann@example.test: unchanged: store2'])
    })

    test('set refuses what the router would refuse', async () => {
      const unknown = await set('bob@example.test', 'evil')
      assert.equal(unknown.code, 2)
      assert.match(
        unknown.errors[0] ?? '',
        /"evil" is no back end of the routing file, which has store1, store2, store3/,
      )
      assert.match((await set('bob *@x', 'store1')).errors[0] ?? '', /is no name of a user: /)
      assert.match(
        (await set('bob@example.test', 'store1', { login: 'a b' })).errors[0] ?? '',
        /cannot be a login name/,
      )
      assert.match((await set('bob@example.test')).errors[0] ?? '', /the order changes nothing/)
      const without = await set('bob@example.test', undefined, { status: 'hold' })
      assert.match(without.errors[0] ?? '', /bob@example\.test has no route in Redis yet: name a back end/)
      assert.deepEqual(await fields('bob@example.test'), {})
    })

    test('set and remove leave a user alone who is held by a move, until the hold has run out', async () => {
      const [seconds] = (await command('TIME')).split('\n')
      const hold = ['status', 'hold', 'hold_by', `admin1/4711 ${seconds}`, 'hold']
      await command('HSET', 'mailmux:user:eve', 'backend', 'store1', ...hold, `${TOKEN} ${Number(seconds) + 60}`)
      for (const refused of [await set('eve', 'store2'), await remove('eve')]) {
        assert.equal(refused.code, 75)
        assert.match(refused.errors[0] ?? '', /eve is being moved by admin1\/4711: the move ends, or its hold runs out/)
      }
      await command('HSET', 'mailmux:user:eve', 'hold', `${TOKEN} ${Number(seconds) - 1}`)
      assert.equal((await set('eve', undefined, { login: 'inner' })).code, 0)
      assert.equal((await fields('eve')).status, 'hold', 'an order for the login says nothing of the hold')
      assert.equal((await set('eve', 'store2')).code, 0)
      assert.deepEqual(await fields('eve'), { backend: 'store2', login: 'inner' })
    })

    test('get shows what Redis and the routing file have, and which of them counts', async () => {
      await command('HSET', 'mailmux:user:fixed@example.test', 'backend', 'store1', 'status', 'hold')
      assert.deepEqual((await get('fixed@example.test')).out, [
        'user          fixed@example.test',
        'routing file  store3; it takes precedence',
        'Redis         store1, hold',
      ])
      const domain = await get('new@example.org')
      assert.deepEqual([domain.code, domain.out[1]], [0, 'domain  store3, by the routing file'])
      const none = await get('none@example.test')
      assert.deepEqual([none.code, none.out[1]], [1, 'route  none, neither in Redis nor in the routing file'])
      const warned = await set('fixed@example.test', 'store2')
      assert.match(warned.out.join('\n'), /the routing file sends fixed@example\.test to store3, and takes precedence/)
    })

    test('finds a route that placement has written in lower case', async () => {
      await command('HSET', 'mailmux:user:placed@example.test', 'backend', 'store1')
      assert.equal((await get('Placed@example.test')).out[0], 'user   placed@example.test')
    })

    test('remove says what the next login does', async () => {
      await command('HSET', 'mailmux:user:gone@example.test', 'backend', 'store1', 'login', 'g')
      const gone = await remove('gone@example.test')
      assert.deepEqual(gone.out, [
        'gone@example.test: removed; before: store1, login g',
        'the next login is refused as that of an unknown user, like a wrong password',
      ])
      assert.deepEqual(await fields('gone@example.test'), {})
      const again = await remove('gone@example.test')
      assert.deepEqual([again.code, again.out[0]], [0, 'gone@example.test: there was no route in Redis'])
      await set('dan@example.org', 'store1')
      assert.match((await remove('dan@example.org')).out[1] ?? '', /goes to store3, by the domain example\.org/)
    })

    test('list finds routes by pattern, back end and status, and ends at the limit', async () => {
      for (let number = 0; number < 30; number++)
        await command('HSET', `mailmux:user:l${number}@list.test`, 'backend', number % 3 === 0 ? 'store1' : 'store2')
      await command('HSET', 'mailmux:user:l0@list.test', 'status', 'disabled')
      const list = (pattern: string, options: Omit<Parameters<typeof listRoutes>[1], 'config'>) =>
        run((terminal) => listRoutes(pattern, { config, ...options }, terminal))
      const all = await list('*@list.test', {})
      assert.deepEqual([all.out.length, all.errors], [31, ['30 routes']])
      assert.match(all.out[0] ?? '', /^USER +BACKEND +STATUS +LOGIN$/)
      assert.deepEqual((await list('*@list.test', { backend: 'store1' })).errors, ['10 routes'])
      const disabled = await list('*@list.test', { status: 'disabled', json: true })
      assert.deepEqual(
        disabled.out.map((line) => JSON.parse(line) as unknown),
        [{ user: 'l0@list.test', backend: 'store1', status: 'disabled' }],
      )
      assert.equal((await list('*@list.test', { limit: '4' })).out.length, 5)
      assert.deepEqual((await list('l?@list.test', {})).errors, ['0 routes'], 'a question mark is only itself')
    })

    test('changes nothing while Redis has lost its data, and says how to accept it', async () => {
      await command('HSET', 'mailmux:marker', 'id', 'x', 'lost', '2026-11-30T20:00:00Z')
      for (const refused of [await set('ann@example.test', 'store1'), await remove('ann@example.test')]) {
        assert.equal(refused.code, 1)
        assert.match(refused.errors[0] ?? '', /has lost its data .*: redis-cli HDEL mailmux:marker lost/)
      }
      assert.deepEqual(await fields('ann@example.test'), { backend: 'store2' })
      await command('HDEL', 'mailmux:marker', 'lost')
    })
  })
