/** `mailmux route` in a real Redis and in a real Cluster, with the rights that the documentation names for it and no others. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { exportRoutes } from '../../src/cli/routes/export.ts'
import { importRoutes, type ImportOptions } from '../../src/cli/routes/import.ts'
import { listRoutes } from '../../src/cli/routes/list.ts'
import { getRoute, removeRoute, setRoute } from '../../src/cli/routes/single.ts'
import { FORMATS } from '../../src/routes/formats/format.ts'
import { documentedAcl, type AclUse } from '../support/documented-acl.ts'
import { startRedis } from '../support/redis.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { openScene, type Scene } from '../support/scene.ts'

const ROUTING = `
backends:
  store1: {host: 127.0.0.1, imap: 1143}
  store2: {host: 10.0.0.12, imap: 1143}
  store3: {host: 10.0.0.13, imap: 1143}
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

    /** Writes a file and imports it. */
    async function load(
      text: string,
      options: Omit<ImportOptions, 'config'> = {},
      stop = new AbortController().signal,
    ) {
      const file = join(scene.directory, 'routes.txt')
      writeFileSync(file, text)
      const done = await run((terminal) =>
        importRoutes(
          file,
          { config, ...options },
          { ...terminal, stop, stdin: () => Readable.from([]), showProgress: undefined },
        ),
      )
      return { ...done, errors: done.errors.map((line) => line.replace(`${scene.directory}/`, '')) }
    }
    const key = (name: string): string => `mailmux:user:${name}`

    test('import reports every mistake with its line, and writes nothing', async () => {
      const lines = [
        'user,backend,login',
        'i1@bad.test,store1,',
        'i2@bad.test,evil,',
        'bad name,store1,',
        'i1@BAD.test,store2,',
        'i3@bad.test,store1,a b',
      ]
      const refused = await load(lines.join('\n'))
      assert.equal(refused.code, 1)
      assert.deepEqual(refused.errors, [
        'routes.txt:3: "i2@bad.test": "evil" is no back end of the routing file, neither by name nor by host',
        'routes.txt:4: the user of this line is no name of a user: it has a space, which no name may have and which is not among the delimiters of the listener',
        'routes.txt:5: "i1@bad.test" is in line 2 already',
        'routes.txt:6: "i3@bad.test": the login "a b" has a character that no name may have',
        'routes.txt: 1 route, 4 mistakes; nothing was written. --skip-bad leaves the lines with a mistake out',
      ])
      assert.equal(await command('EXISTS', key('i1@bad.test')), '0')
      const skipped = await load(lines.join('\n'), { skipBad: true })
      assert.deepEqual([skipped.code, skipped.errors.length], [0, 4])
      assert.match(skipped.out[0] ?? '', /routes\.txt: 1 added, 0 changed, 0 as they are; in /)
      assert.deepEqual(await fields('i1@bad.test'), { backend: 'store1' })
    })

    test('import prints a hundred mistakes and counts the others', async () => {
      const many = await load(`user,backend\n${'x y,store1\n'.repeat(250)}`)
      assert.equal(many.errors.length, 102)
      assert.equal(many.errors[100], 'and 150 more')
    })

    test('import changes what differs and skips what is as the file says, so that a second run goes on', async () => {
      const text = `user,backend\n${Array.from({ length: 5000 }, (_, number) => `m${number}@many.test,store${(number % 3) + 1}\n`).join('')}`
      await command('HSET', key('m1@many.test'), 'backend', 'store1', 'login', 'kept')
      const dry = await load(text, { dryRun: true })
      assert.match(dry.out[0] ?? '', /4,999 to be added, 1 to be changed, 0 as they are/)
      assert.equal(await command('EXISTS', key('m0@many.test')), '0')
      const stop = new AbortController()
      stop.abort()
      const stopped = await load(text, {}, stop.signal)
      assert.deepEqual([stopped.code, stopped.errors], [75, ['mailmux route import: interrupted; nothing was written']])
      assert.match((await load(text)).out[0] ?? '', /4,999 added, 1 changed, 0 as they are/)
      assert.deepEqual(
        await fields('m1@many.test'),
        { backend: 'store2', login: 'kept' },
        'no column says anything of it',
      )
      assert.match((await load(text)).out[0] ?? '', /0 added, 0 changed, 5,000 as they are/)
    })

    test('import leaves users alone who are being moved, and reports keys that are no routes', async () => {
      const [seconds] = (await command('TIME')).split('\n')
      await command(
        'HSET',
        key('h1@held.test'),
        'backend',
        'store1',
        'status',
        'hold',
        'hold',
        `${TOKEN} ${Number(seconds) + 60}`,
      )
      await command('SET', key('h2@held.test'), 'text')
      const done = await load('h1@held.test,store2\nh2@held.test,store2\nh3@held.test,store2')
      assert.equal(done.code, 1)
      assert.deepEqual(done.errors.sort(), [
        'routes.txt:1: h1@held.test is being moved, and keeps the route',
        'routes.txt:2: h2@held.test: the key in Redis is not a hash',
      ])
      assert.equal((await fields('h1@held.test')).backend, 'store1')
      assert.deepEqual(await fields('h3@held.test'), { backend: 'store2' })
    })

    test('import names back ends by host and port, and reads standard input', async () => {
      const stdin = (): Readable => Readable.from(['n1@std.test 10.0.0.12:1143;\n', 'n2@std.test store3;\n'])
      const done = await run((terminal) =>
        importRoutes(
          '-',
          { config },
          { ...terminal, stop: new AbortController().signal, stdin, showProgress: undefined },
        ),
      )
      assert.match(done.out[0] ?? '', /^standard input: 2 added/)
      assert.deepEqual(
        [await fields('n1@std.test'), await fields('n2@std.test')],
        [{ backend: 'store2' }, { backend: 'store3' }],
      )
    })

    for (const format of FORMATS)
      test(`import reads what export writes as ${format}`, async () => {
        const domain = `${format}.test`
        await command('HSET', key(`a@${domain}`), 'backend', 'store2')
        if (format !== 'nginx') await command('HSET', key(`b@${domain}`), 'backend', 'store1', 'login', 'inner')
        const isWhole = format === 'csv' || format === 'jsonl'
        await command('HSET', key(`c@${domain}`), 'backend', 'store3', 'status', isWhole ? 'disabled' : 'active')
        const printed = await run((terminal) => exportRoutes(`*@${domain}`, { config, format }, terminal))
        assert.equal(printed.code, 0, printed.errors.join())
        const before = [await fields(`a@${domain}`), await fields(`b@${domain}`), await fields(`c@${domain}`)]
        for (const name of ['a', 'b', 'c']) await command('DEL', key(`${name}@${domain}`))
        await command(
          'HSET',
          key(`a@${domain}`),
          'backend',
          'store1',
          ...(isWhole ? ['login', 'old', 'status', 'hold'] : []),
        )
        const done = await load(printed.out.join('\n'), { format })
        assert.equal(done.code, 0, done.errors.join())
        const after = [await fields(`a@${domain}`), await fields(`b@${domain}`), await fields(`c@${domain}`)]
        if (!isWhole) delete before[2]?.status // active, which is the default
        assert.deepEqual(after, before)
      })

    test('export counts the routes that a format cannot have', async () => {
      await command('HSET', key('a@left.test'), 'backend', 'store1', 'status', 'disabled')
      const printed = await run((terminal) => exportRoutes('*@left.test', { config, format: 'dovecot' }, terminal))
      assert.deepEqual([printed.code, printed.errors[0]], [1, '0 routes'])
      assert.match(printed.errors[1] ?? '', /1 routes with a status, which dovecot cannot have, are left out/)
    })

    test('import fills a Redis that has lost its data on request alone, and says how to accept it', async () => {
      await command('HSET', 'mailmux:marker', 'id', 'x', 'lost', '2026-11-30T20:00:00Z')
      const refused = await load('a@lost.test,store1')
      assert.equal(refused.code, 1)
      assert.match(refused.errors[0] ?? '', /has lost its data .*To write the routes before you accept it: --fill-lost/)
      const filled = await load('a@lost.test,store1', { fillLost: true })
      assert.equal(filled.code, 0)
      assert.match(filled.out[1] ?? '', /until you accept it as it is now: redis-cli HDEL mailmux:marker lost/)
      await command('HDEL', 'mailmux:marker', 'lost')
    })
  })
