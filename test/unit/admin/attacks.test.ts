/** Hostile HTTP at the Unix socket, which needs no token: requests in requests, bodies and heads without an end. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { openAdminSocket } from '../../../src/admin/admin-socket.ts'
import { START_DEADLINE_MS, within } from '../../support/deadline.ts'
import { temporaryDirectory } from '../config/fixture.ts'
import { keepLog } from '../backend/fixture.ts'
import { adminWith } from './parts.ts'

async function open(t: TestContext) {
  const orders: unknown[] = []
  const { app } = adminWith({
    backends: () => Promise.resolve([]),
    setBackendState: ({ order }) => {
      orders.push(order?.state)
      return Promise.resolve({ result: 'changed' })
    },
  })
  const file = path.join(temporaryDirectory(t), 'admin.sock')
  const opened = await openAdminSocket(
    app,
    { file, mayReplace: false },
    { log: keepLog().log, refused: () => undefined },
  )
  t.after(opened.close)
  /** @returns all that comes until mailmux closes the connection */
  const say = async (text: string): Promise<string> => {
    const socket = connect({ path: file }).on('error', () => undefined)
    t.after(() => socket.destroy())
    let got = ''
    socket.on('data', (chunk) => (got += chunk.toString('latin1')))
    socket.write(text)
    await within(START_DEADLINE_MS, once(socket, 'close'), () => `still open after ${got}`)
    return got
  }
  return { say, orders }
}

const HIDDEN = 'PUT /api/v1/backends/store1/state HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n{"state":"down"}'
const PUT = 'PUT /api/v1/backends/store1/state HTTP/1.1\r\nHost: x\r\n'

test('takes no request out of the body of another one', async (t) => {
  for (const head of [
    `Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`,
    `Content-Length: 0\r\nContent-Length: 5\r\n\r\n`,
    `Content-Length: +5\r\n\r\n`,
    `Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    `Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    `Content-Length : 5\r\n\r\n`,
    `X: y\rContent-Length: 5\r\n\r\n`,
    `Content-Length: 5\n\n`,
  ]) {
    const { say, orders } = await open(t)
    const got = await say(`${PUT}${head}${HIDDEN}`)
    assert.match(got, /^HTTP\/1\.1 4\d\d /, head)
    assert.equal(got.split('HTTP/1.1 ').length, 2, head)
    assert.deepEqual(orders, [], head)
  }
})

test('reads no request after one with a body that it refuses', async (t) => {
  const { say, orders } = await open(t)
  for (const refused of [
    `GET /api/v1/backends HTTP/1.1\r\nHost: x\r\nContent-Length: ${HIDDEN.length}\r\n\r\n`,
    `${PUT}Content-Length: 100000\r\n\r\n`,
    `DELETE /api/v1/sessions?all=true HTTP/1.1\r\nHost: x\r\nContent-Length: ${HIDDEN.length}\r\n\r\n`,
  ]) {
    const got = await say(`${refused}${HIDDEN}`)
    assert.match(got, /^HTTP\/1\.1 413 /)
    assert.equal(got.split('HTTP/1.1 ').length, 2)
  }
  assert.deepEqual(orders, [])
})

test('bounds the head of a request, and a body without a length', async (t) => {
  const { say, orders } = await open(t)
  assert.match(await say(`GET /api/v1/backends HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`), /^HTTP\/1\.1 431 /)
  assert.match(await say(`GET /api/v1/${'x'.repeat(20_000)}`), /^HTTP\/1\.1 431 /)
  const chunk = `1000\r\n${'x'.repeat(4096)}\r\n`
  assert.match(await say(`${PUT}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(4)}`), /^HTTP\/1\.1 413 /)
  assert.deepEqual(orders, [])
})

test('closes a connection that speaks TLS, HTTP/2 or a mail protocol', async (t) => {
  const { say } = await open(t)
  for (const text of ['\x16\x03\x01\x02\x00\x01', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'a1 LOGIN alice secret\r\n'])
    assert.doesNotMatch(await say(text), /HTTP\/1\.1 200/)
})
