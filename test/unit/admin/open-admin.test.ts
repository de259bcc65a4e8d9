/** The admin port itself: how many connections it has, and how long it waits for each. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, test, type TestContext } from 'node:test'
import { Hono } from 'hono'
import { openAdmin } from '../../../src/admin/admin.ts'
import { START_DEADLINE_MS, until, within } from '../../support/deadline.ts'
import { freePort } from '../../support/ports.ts'
import { keepLog } from '../backend/fixture.ts'

async function open(t: TestContext, host = '127.0.0.1') {
  const { log, lines } = keepLog()
  let refused = 0
  const port = await freePort()
  const app = new Hono()
  app.get('/host', (c) => c.text(new URL(c.req.url).hostname))
  const { close } = await openAdmin(app, { host, port }, { log, refused: () => refused++ })
  t.after(close)
  const dial = (says = ''): Socket => {
    const socket = connect(port, host).on('error', () => undefined)
    t.after(() => socket.destroy())
    socket.write(says)
    return socket
  }
  return { dial, lines, refused: () => refused }
}

/** @returns what comes until the server closes */
async function readAll(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  await within(START_DEADLINE_MS, once(socket, 'close'), () => `still open after ${JSON.stringify(text)}`)
  return text
}

// Each takes the 5 s of the server.
describe('the admin port', { concurrency: true }, () => {
  for (const [what, says] of [
    ['nothing', ''],
    ['half a head', 'GET /host HTTP/1.1\r\nHost: 127.0.0.1\r\n'],
    ['half a body', 'POST /host HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n{'],
  ] as const) {
    test(`closes a connection on which ${what} comes`, async (t) => {
      const { dial } = await open(t)
      const socket = dial(says)
      await readAll(socket)
      assert.ok(socket.destroyed)
    })
  }
})

test('closes the 65th connection at once, logs that once and counts each, and serves on', async (t) => {
  const { dial, lines, refused } = await open(t)
  const held = []
  for (let nth = 0; nth < 64; nth++) {
    const socket = dial('GET /host HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    await once(socket, 'data')
    held.push(socket)
  }
  for (let nth = 0; nth < 3; nth++) assert.equal(await readAll(dial('GET /host HTTP/1.1\r\n')), '')
  assert.equal(refused(), 3)
  const message = 'admin connection refused'
  assert.deepEqual(lines, [{ level: 'warn', message, cause: 'more than 64 connections' }])
  const first = held[0]
  assert.ok(first)
  first.destroy()
  await once(first, 'close')
  // The server sees the end a little later than the client.
  const text = await until(
    START_DEADLINE_MS,
    async () =>
      (await readAll(dial('GET /host HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'))) || undefined,
    () => 'no place is free again',
  )
  assert.match(text, /^HTTP\/1\.1 200 /)
})

for (const host of ['127.0.0.1', '::1']) {
  test(`takes a request of HTTP/1.0 without Host at ${host} for one to that address`, async (t) => {
    const { dial } = await open(t, host)
    const text = await readAll(dial('GET /host HTTP/1.0\r\n\r\n'))
    assert.match(text, /^HTTP\/1\.1 200 /)
    assert.match(text, host.includes(':') ? /\[::1\]$/ : /127\.0\.0\.1$/)
  })
}
