/** A client of the admin HTTP that pipelines: its next request is handled once the answer to the last one is sent. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { Hono } from 'hono'
import { openAdmin } from '../../../src/admin/admin.ts'
import { START_DEADLINE_MS, until, within } from '../../support/deadline.ts'
import { keepLog } from '../backend/fixture.ts'

/** More than the kernel's buffers of a connection take. */
const BODY = Buffer.alloc(48 * 1024 * 1024, 'x')

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function open(t: TestContext, body: Buffer | string): Promise<{ socket: Socket; asked: string[] }> {
  const asked: string[] = []
  const app = new Hono()
  app.get('/:number', async (c) => {
    asked.push(c.req.param('number'))
    await setImmediate()
    return c.body(`${c.req.param('number')}:${body.toString()}`)
  })
  const port = await freePort()
  const { close } = await openAdmin(app, { host: '127.0.0.1', port }, { log: keepLog().log, refused: () => undefined })
  const socket = connect(port, '127.0.0.1').pause()
  await once(socket, 'connect')
  socket.on('error', () => undefined) // a test may have it reset
  t.after(() => {
    socket.destroy()
    close()
  })
  return { socket, asked }
}

const request = (number: number): string => `GET /${number} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const requests = (count: number): string => Array.from({ length: count }, (_, number) => request(number)).join('')

test('handles one request of a client that reads nothing', async (t) => {
  const { socket, asked } = await open(t, BODY)
  socket.write(requests(8))
  await until(
    START_DEADLINE_MS,
    () => asked.length > 0 || undefined,
    () => 'no request was handled',
  )
  for (let turn = 0; turn < 200; turn++) await setImmediate()
  assert.deepEqual(asked, ['0'])
})

test('answers pipelined requests in order', async (t) => {
  const { socket, asked } = await open(t, 'end')
  socket.write(requests(8))
  let answers = ''
  socket.on('data', (chunk: Buffer) => (answers += chunk.toString())).resume()
  await until(
    START_DEADLINE_MS,
    () => answers.includes('7:end') || undefined,
    () => `8 answers did not come: ${answers}`,
  )
  const numbers = ['0', '1', '2', '3', '4', '5', '6', '7']
  assert.deepEqual(asked, numbers)
  assert.deepEqual(
    [...answers.matchAll(/(\d):end/g)].map(([, number]) => number),
    numbers,
  )
})

test('closes the connection of a client that pipelines more than 16 requests', async (t) => {
  const { socket, asked } = await open(t, BODY)
  // Not `once`, which rejects on the reset that comes first.
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(requests(2000))
  socket.resume()
  await within(START_DEADLINE_MS, closed, () => 'the connection is still open')
  assert.ok(asked.length <= 1, `${asked.length} requests were handled`)
})
