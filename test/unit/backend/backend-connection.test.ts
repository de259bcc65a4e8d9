/** The connection to a back end between the dial and the relay: what it counts, what ends it, and what it hands over. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { BackendConnection } from '../../../src/backend/backend-connection.ts'
import type { BackendSettings } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import { READ_DEADLINE_MS, until } from '../../support/deadline.ts'
import { backend, isCode } from './fixture.ts'

/** @param greeting what the back end sends at once */
async function open(t: TestContext, greeting: string, settings: Partial<BackendSettings> = {}) {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.write(greeting)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepting = once(server, 'connection') as Promise<[Socket]>
  const { port } = server.address() as AddressInfo
  const address = { host: '127.0.0.1', ip: '127.0.0.1', port, source: 'address', rank: 0, weight: 1 } as const
  const connection = new BackendConnection(backend(settings), address, undefined)
  t.after(() => {
    connection.close()
    server.close()
  })
  return { connection, accepting }
}

const LATE = new MuxError('backend-timeout', 'too late')

test('counts the lines that the back end has sent, its greeting included', async (t) => {
  const { connection } = await open(t, '* OK ready\r\n* more\r\n')
  assert.deepEqual([connection.connected, connection.heard], [false, 0])
  await connection.open()
  assert.deepEqual([connection.connected, connection.heard, connection.secure], [true, 0, false])
  assert.equal(await connection.readLine(100), '* OK ready')
  assert.equal(await connection.readLine(100), '* more')
  assert.equal(connection.heard, 2)
})

// RFC 3501 6.2.1: an attacker in between could add an answer that would be believed after the handshake.
test('takes no TLS where bytes in clear follow the go-ahead', async (t) => {
  const { connection } = await open(t, 'A OK begin\r\nB OK injected\r\n', { tls: 'starttls' })
  await connection.open()
  assert.equal(await connection.readLine(100), 'A OK begin')
  await assert.rejects(connection.startTls(), isCode('backend-bytes-before-tls'))
  assert.equal(connection.secure, false)
  await assert.rejects(async () => connection.readLine(100), /not being read/)
})

test('hands over the socket and what was not read', async (t) => {
  const { connection } = await open(t, '* OK ready\r\nA OK in\r\n* 1 EXISTS\r\n')
  await connection.open()
  for (let line = 0; line < 2; line++) await connection.readLine(100)
  const { socket, unread } = connection.detach()
  assert.equal(unread?.toString(), '* 1 EXISTS\r\n')
  assert.equal(socket.destroyed, false)
  assert.equal(connection.detach().unread, undefined)
  socket.destroy()
})

test('ends the wait under way, in each of its phases, with the error of the deadline', async (t) => {
  const dialling = await open(t, '* OK ready\r\n')
  dialling.connection.fail(LATE)
  dialling.connection.fail(new MuxError('backend-closed', 'later'))
  await assert.rejects(dialling.connection.open(), LATE)

  const reading = await open(t, '')
  await reading.connection.open()
  const line = reading.connection.readLine(100)
  reading.connection.fail(LATE)
  await assert.rejects(line, LATE)

  const securing = await open(t, '', { tls: 'implicit' })
  const opened = securing.connection.open()
  const [accepted] = await securing.accepting
  await once(accepted, 'data') // the ClientHello
  securing.connection.fail(LATE)
  await assert.rejects(opened, LATE)
  assert.equal(securing.connection.secure, false)
})

test('closes the socket, and may be closed twice', async (t) => {
  const { connection, accepting } = await open(t, '* OK ready\r\n')
  await connection.open()
  const [accepted] = await accepting
  accepted.resume()
  connection.close()
  connection.close()
  await until(
    READ_DEADLINE_MS,
    () => (accepted.readableEnded || accepted.destroyed ? true : undefined),
    () => 'the back end sees no end',
  )
})
