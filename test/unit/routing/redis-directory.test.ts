/** The Redis directory in front of a Redis that is played by a script: a few lines of RESP, and answers of our choice. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { Log } from '../../../src/log.ts'
import { openRedisClient, type RedisClient } from '../../../src/routing/redis-client.ts'
import { createRedisDirectory, type RouteStore } from '../../../src/routing/redis-directory.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** Bulk strings in an array, as HMGET answers. */
function fields(...values: (string | null)[]): string {
  const bulk = values.map((value) => (value === null ? '$-1\r\n' : `$${Buffer.byteLength(value)}\r\n${value}\r\n`))
  return `*${values.length}\r\n${bulk.join('')}`
}

/** A directory that is connected, whose HMGET gets `answer`; undefined: none ever. `asked` holds the keys. */
async function openDirectory(
  t: TestContext,
  answer: string | undefined,
): Promise<{ directory: RouteStore; redis: RedisClient; asked: string[] }> {
  const asked: string[] = []
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      for (const command of commandsIn(bytes.toString())) {
        const [name = '', key = ''] = command
        if (name === 'hmget') {
          asked.push(key)
          if (answer !== undefined) socket.write(answer)
        } else socket.write(name === 'info' ? '$17\r\nredis_version:7.0\r\n' : '+OK\r\n')
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const up = Promise.withResolvers<undefined>()
  const settings = {
    kind: 'redis',
    servers: { kind: 'single', server: { host: '127.0.0.1', port }, database: 0 },
    username: undefined,
    password: undefined,
    tls: undefined,
    prefix: 'mailmux:',
    timeoutMs: 200,
    cache: { maxEntries: 1, lifetimeMs: 0, negativeLifetimeMs: 0, maxStaleMs: 0 },
  } as const
  const redis = openRedisClient(settings, silent, (isUp) => {
    if (isUp) up.resolve(undefined)
  })
  t.after(() => {
    redis.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await within(READ_DEADLINE_MS, up.promise, () => 'the directory did not connect')
  return { directory: createRedisDirectory(redis, settings.prefix), redis, asked }
}

/** Commands as arrays of words, the first in lower case; each arrives in one piece over loopback. */
function commandsIn(text: string): string[][] {
  const commands: string[][] = []
  for (const line of text.split('\r\n')) {
    if (line.startsWith('*')) commands.push([])
    else if (line !== '' && !line.startsWith('$')) {
      const command = commands.at(-1)
      command?.push(command.length === 0 ? line.toLowerCase() : line)
    }
  }
  return commands
}

test('gives the entry of a user, active by default', async (t) => {
  const { directory, asked } = await openDirectory(t, fields('store1', null, null))
  assert.deepEqual(await directory.read('alice@example.test'), {
    backend: 'store1',
    login: undefined,
    status: 'active',
  })
  assert.deepEqual(asked, ['mailmux:user:alice@example.test'])
})

for (const status of ['active', 'hold', 'disabled'] as const)
  test(`gives an entry whose status is ${status}`, async (t) => {
    const { directory } = await openDirectory(t, fields('store1', 'inner', status))
    assert.deepEqual(await directory.read('alice'), { backend: 'store1', login: 'inner', status })
  })

test('gives nothing for a user who has no entry', async (t) => {
  const { directory } = await openDirectory(t, fields(null, null, null))
  assert.equal(await directory.read('alice'), undefined)
})

/** What Redis may hold that makes no sense, or answer that is no answer. */
const ANSWERS: Record<string, { answer: string | undefined; code: string }> = {
  'a status that there is none of': { answer: fields('store1', null, 'paused'), code: 'route-invalid' },
  'an empty status': { answer: fields('store1', null, ''), code: 'route-invalid' },
  'a login without a back end': { answer: fields(null, 'alice', null), code: 'route-invalid' },
  'a key that is no hash': {
    answer: '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n',
    code: 'route-invalid',
  },
  'a Redis that is loading': {
    answer: '-LOADING Redis is loading the dataset in memory\r\n',
    code: 'directory-unavailable',
  },
  'a Redis that wants a password': { answer: '-NOAUTH Authentication required.\r\n', code: 'directory-unavailable' },
  'a Redis that does not answer': { answer: undefined, code: 'directory-unavailable' },
}

for (const [what, { answer, code }] of Object.entries(ANSWERS))
  test(`fails closed at ${what}`, async (t) => {
    const { directory } = await openDirectory(t, answer)
    await assert.rejects(directory.read('alice'), { code })
  })

test('fails at once while there is no connection', async (t) => {
  const { directory, redis } = await openDirectory(t, fields('store1', null, null))
  redis.close()
  await assert.rejects(directory.read('alice'), { code: 'directory-unavailable' })
})
