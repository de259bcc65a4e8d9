/** What it is called when a back end cannot be reached, or goes away at once. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, Socket, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { dial } from '../../../src/backend/dialer.ts'
import { MuxError } from '../../../src/errors.ts'
import { backend, isCode } from './fixture.ts'

/** Resets each connection, and tells the other thread when it has. */
const RESETTING_SERVER = `
  const { createServer } = require('node:net')
  const { parentPort, workerData } = require('node:worker_threads')
  const server = createServer((socket) => {
    socket.once('close', () => {
      Atomics.store(workerData, 0, 1)
      Atomics.notify(workerData, 0)
    })
    socket.resetAndDestroy()
  })
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

test('a reset is the back end hanging up, even where it comes before the connection was seen to be there', async (t) => {
  const hasReset = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(RESETTING_SERVER, { eval: true, workerData: hasReset })
  t.after(() => worker.terminate())
  const [port] = (await once(worker, 'message')) as [number]

  const address = { host: '127.0.0.1', ip: '127.0.0.1', port, source: 'address', rank: 0, weight: 1 } as const
  const dialled = new Promise((resolve, reject) => {
    setImmediate(() => {
      dial(backend(), address, undefined).connected.then(resolve, reject)
      // Due before the event loop looks at sockets again, so that by then it finds both: connected, and reset.
      setTimeout(() => Atomics.wait(hasReset, 0, 0, 10_000), 1)
      const due = performance.now() + 3
      while (performance.now() < due);
    })
  })
  await assert.rejects(dialled, isCode('backend-closed'))
})

/** Makes each connect fail as the system does where a resource of this machine has run out. */
function failConnects(t: TestContext, code: string): void {
  t.mock.method(Socket.prototype, 'connect', function connect(this: Socket) {
    process.nextTick(() => this.destroy(Object.assign(new Error(`connect ${code}`), { code })))
    return this
  })
}

const SOMEWHERE = { host: '192.0.2.1', ip: '192.0.2.1', port: 143, source: 'address', rank: 0, weight: 1 } as const

for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']) {
  test(`${code} is a shortage of this machine, and no failure of the back end`, async (t) => {
    failConnects(t, code)
    await assert.rejects(dial(backend(), SOMEWHERE, undefined).connected, (error) => {
      assert.ok(error instanceof MuxError)
      assert.deepEqual([error.code, error.side, error.retryable], ['local-shortage', 'self', true])
      assert.match(error.message, new RegExp(code))
      return true
    })
  })
}

test('EHOSTUNREACH is still a failure of the back end', async (t) => {
  failConnects(t, 'EHOSTUNREACH')
  await assert.rejects(dial(backend(), SOMEWHERE, undefined).connected, isCode('backend-unreachable'))
})

test('a dialled socket bears an error at any time, between two owners too', async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = { ...SOMEWHERE, ip: '127.0.0.1', port: (server.address() as AddressInfo).port }
  const { socket, connected } = dial(backend(), address, undefined)
  await connected
  t.after(() => socket.destroy())
  assert.doesNotThrow(() => socket.emit('error', new Error('write EPIPE')))
})

test('names the address that it cannot connect to, and the name that it was found by', async (t) => {
  failConnects(t, 'ECONNREFUSED')
  for (const [host, where] of [
    ['192.0.2.1', '192.0.2.1:143'],
    ['store.test', 'store.test, 192.0.2.1:143'],
  ] as const)
    await assert.rejects(dial(backend(), { ...SOMEWHERE, host }, undefined).connected, {
      code: 'backend-refused',
      message: `cannot connect to ${where}: ECONNREFUSED`,
    })
})

test('gives up with the error that the socket is destroyed with', async (t) => {
  t.mock.method(Socket.prototype, 'connect', function connect(this: Socket) {
    return this
  })
  const { socket, connected } = dial(backend(), SOMEWHERE, undefined)
  const late = new MuxError('backend-timeout', 'too late')
  socket.destroy(late)
  await assert.rejects(connected, late)
})

test('a dialled socket still sends where the back end has closed its half', async (t) => {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = { ...SOMEWHERE, ip: '127.0.0.1', port: (server.address() as AddressInfo).port }
  const accepting = once(server, 'connection') as Promise<[Socket]>
  const { socket, connected } = dial(backend(), address, undefined)
  await connected
  const [accepted] = await accepting
  t.after(() => accepted.destroy())
  accepted.end()
  socket.resume()
  await once(socket, 'end')
  socket.end('QUIT\r\n')
  assert.equal(String((await once(accepted, 'data'))[0]), 'QUIT\r\n')
})
