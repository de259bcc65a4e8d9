/** The first answers of a Redis, whole and in pieces. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { logIn, mustBeOk, parse, type LoginStep } from '../../../../src/directory/redis/login.ts'
import { createJoinedLookup } from '../../../../src/directory/joined-lookup.ts'

const one = (text: string) => parse(Buffer.from(text))

test('reads a status, an error and a bulk string, and waits for what is missing', () => {
  assert.deepEqual(one('+OK\r\n'), { reply: { kind: 'status', text: 'OK' }, length: 5 })
  assert.deepEqual(one('-ERR no\r\n+OK'), { reply: { kind: 'error', text: 'ERR no' }, length: 9 })
  assert.deepEqual(one('$5\r\na\r\nb\u00e4\r\n'), 'odd')
  assert.deepEqual(one('$4\r\na\r\nb\r\nx'), { reply: { kind: 'bulk', text: 'a\r\nb' }, length: 10 })
  const whole = '$4\r\na\r\nb\r\n'
  for (let length = 0; length < whole.length; length++) assert.equal(one(whole.slice(0, length)), 'incomplete')
  for (const odd of [':1\r\n', '*0\r\n', '$-1\r\n', '_\r\n', '%0\r\n', '$9999999\r\n']) assert.equal(one(odd), 'odd')
})

async function connectTo(t: TestContext, serve: (socket: Socket) => void): Promise<Socket> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    serve(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.after(() => socket.destroy())
  return socket
}

const steps = (count: number): LoginStep[] =>
  Array.from({ length: count }, (_, index) => ({ words: ['STEP', String(index)], check: mustBeOk }))

test('asks one step after the other, and takes answers byte by byte', async (t) => {
  const asked: string[] = []
  const socket = await connectTo(t, (peer) => {
    peer.setNoDelay(true)
    peer.on('data', (bytes) => {
      asked.push(bytes.toString())
      void (async () => {
        for (const byte of '+OK\r\n') await new Promise((resolve) => peer.write(byte, resolve))
      })()
    })
  })
  await logIn(socket, { isTls: false, steps: steps(2), timeoutMs: 5000 }).promise
  assert.deepEqual(asked, ['*2\r\n$4\r\nSTEP\r\n$1\r\n0\r\n', '*2\r\n$4\r\nSTEP\r\n$1\r\n1\r\n'])
  assert.ok(!socket.destroyed)
})

test('ends where it is aborted, and where the server hangs up', async (t) => {
  for (const end of ['abort', 'server'] as const) {
    const socket = await connectTo(t, (peer) => {
      if (end === 'server') peer.once('data', () => peer.destroy())
    })
    const { promise, abort } = logIn(socket, { isTls: false, steps: steps(1), timeoutMs: 5000 })
    if (end === 'abort') socket.once('connect', abort)
    await assert.rejects(promise)
    assert.ok(socket.destroyed)
  }
})

test('blames the resolver while the name is being looked up, and counts its time apart', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const socket = connect({ host: 'redis.example.test', port: 1, lookup: () => undefined })
  t.after(() => socket.destroy())
  const { promise } = logIn(socket, { isTls: false, steps: [], timeoutMs: 2000 })
  const failed = assert.rejects(promise, { message: 'resolver: no answer in 5000 ms' })
  t.mock.timers.tick(4999)
  assert.ok(!socket.destroyed)
  t.mock.timers.tick(1)
  await failed
})

test('looks a name up once for all connections that wait for it', async () => {
  const answers: ((all: { address: string; family: number }[]) => void)[] = []
  const lookup = createJoinedLookup(() => new Promise((resolve) => answers.push(resolve)))
  const ask = (): Promise<unknown> =>
    new Promise((resolve, reject) =>
      lookup('redis.example.test', {}, (error, address) => (error ? reject(error) : resolve(address))),
    )
  const asked = [ask(), ask(), ask()]
  assert.equal(answers.length, 1)
  answers[0]?.([{ address: '127.0.0.1', family: 4 }])
  assert.deepEqual(await Promise.all(asked), ['127.0.0.1', '127.0.0.1', '127.0.0.1'])
  const empty = ask()
  assert.equal(answers.length, 2)
  answers[1]?.([])
  await assert.rejects(empty, /no address/u)
})
