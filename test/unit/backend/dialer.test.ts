/** What it is called when a back end cannot be reached, or goes away at once. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { dial } from '../../../src/backend/dialer.ts'
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
      dial(backend(), address, undefined, AbortSignal.timeout(10_000)).then(resolve, reject)
      // Due before the event loop looks at sockets again, so that by then it finds both: connected, and reset.
      setTimeout(() => Atomics.wait(hasReset, 0, 0, 10_000), 1)
      const due = performance.now() + 3
      while (performance.now() < due);
    })
  })
  await assert.rejects(dialled, isCode('backend-closed'))
})
