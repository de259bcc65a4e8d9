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

test('waits for no line and for no text of more than Redis sends', () => {
  assert.equal(one(`+${'x'.repeat(4095)}`), 'incomplete')
  assert.equal(one(`+${'x'.repeat(4096)}`), 'odd')
  assert.equal(one('$999999\r\n'), 'incomplete')
  for (const odd of ['$1000000\r\n', '$\r\n', '$1x\r\n', '$x1\r\n', '$2\r\nabXY', '$2\r\nab\rY'])
    assert.equal(one(odd), 'odd', odd)
  assert.equal(one('$2\r\nab\r'), 'incomplete')
  assert.deepEqual(one('$0\r\n\r\n'), { reply: { kind: 'bulk', text: '' }, length: 6 })
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

/** What a server sends to the first command, and what the login fails with. */
const FAILURES: Record<string, [string, string]> = {
  'an error': ['-NOPERM no\r\n', 'NOPERM no'],
  'a long error': [`-ERR ${'x'.repeat(1000)}\r\n`, `ERR ${'x'.repeat(396)}`],
  'another status': ['+QUEUED\r\n', 'no answer to the login'],
  'a text': ['$2\r\nOK\r\n', 'no answer to the login'],
  'a text of more than 64 KiB': [`$70000\r\n${'x'.repeat(69_000)}`, 'no answer to the login'],
  'an answer before the second command': ['+OK\r\n+OK\r\n', 'no answer to the login'],
}

for (const [what, [answer, message]] of Object.entries(FAILURES))
  test(`fails for ${what}, and closes the connection`, async (t) => {
    const socket = await connectTo(t, (peer) => peer.once('data', () => peer.write(answer)))
    await assert.rejects(logIn(socket, { isTls: false, steps: steps(2), timeoutMs: 20_000 }).promise, { message })
    assert.ok(socket.destroyed)
  })

test('fails when its time is over, and where it is hung up on', async (t) => {
  const silent = await connectTo(t, () => undefined)
  await assert.rejects(logIn(silent, { isTls: false, steps: steps(1), timeoutMs: 20 }).promise, {
    code: 'ETIMEDOUT',
    message: 'no login in 20 ms',
  })
  const ended = await connectTo(t, (peer) => peer.end())
  const { promise } = logIn(ended, { isTls: false, steps: steps(1), timeoutMs: 20_000 })
  await assert.rejects(promise, { message: 'closed during the login' })
})

test('leaves the socket paused and without listeners but the one for errors', async (t) => {
  const socket = await connectTo(t, (peer) => peer.on('data', () => peer.write('+OK\r\n')))
  const names = ['connect', 'data', 'close', 'end', 'connectionAttempt'] as const
  const before = names.map((name) => socket.listenerCount(name))
  await logIn(socket, { isTls: false, steps: steps(1), timeoutMs: 20_000 }).promise
  assert.equal(socket.isPaused(), true)
  assert.deepEqual(
    names.map((name) => socket.listenerCount(name)),
    before,
  )
  assert.doesNotThrow(() => socket.emit('error', new Error('late')))
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
  await assert.rejects(empty, /no address of redis.example.test/u)
})

test('gives all addresses where they are asked for, and the error of the resolver', async () => {
  const all = [
    { address: '192.0.2.1', family: 4 },
    { address: '2001:db8::1', family: 6 },
  ]
  const ask = (lookup: ReturnType<typeof createJoinedLookup>, options: { all?: boolean }): Promise<unknown[]> =>
    new Promise((resolve, reject) =>
      lookup('redis.example.test', options, (error, ...found) => (error ? reject(error) : resolve(found))),
    )
  const found = createJoinedLookup(() => Promise.resolve(all))
  assert.deepEqual((await ask(found, { all: true }))[0], all)
  assert.deepEqual(await ask(found, {}), ['192.0.2.1', 4])
  const failed = createJoinedLookup(() => Promise.reject(new Error('ENOTFOUND')))
  await assert.rejects(ask(failed, { all: true }), /ENOTFOUND/u)
})
