import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { MuxError } from '../../../src/errors.ts'
import { LineSocket } from '../../../src/net/line-socket.ts'
import { READ_DEADLINE_MS, until, within } from '../../support/deadline.ts'
import { MemoryWire } from '../../support/memory-wire.ts'
import { atRandom, testEveryCut, WHOLE } from '../../support/splits.ts'

/** All lines up to the end of the input, or to the error that ended them. */
async function readAll(wire: MemoryWire, maxBytes: number): Promise<string[]> {
  const lines: string[] = []
  for (;;) {
    try {
      lines.push(await wire.readLine(maxBytes))
    } catch (error) {
      assert.ok(error instanceof MuxError)
      return [...lines, error.code]
    }
  }
}

const octets = fc
  .array(
    fc.oneof(
      fc.constantFrom('\r\n', '\n', '\r', 'line'),
      fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''))

test('gives the same lines wherever the bytes are cut', () =>
  fc.assert(
    fc.asyncProperty(octets, fc.nat(), async (text, seed) => {
      const results = await Promise.all(
        [WHOLE, atRandom(seed)].map(async (cut) => {
          const wire = new MemoryWire('client', { cut })
          const read = readAll(wire, 20)
          await wire.send(text)
          await wire.end()
          return read
        }),
      )
      assert.deepEqual(results[1], results[0])
      if (text.split('\n').every((line) => line.length < 20)) {
        const lines = text
          .split('\n')
          .slice(0, -1)
          .map((line) => line.replace(/\r$/, ''))
        assert.deepEqual(results[0], [...lines, 'client-closed'])
      }
    }),
  ))

testEveryCut('gives lines and octets in turn', async (cut) => {
  const wire = new MemoryWire('client', { cut })
  const sent = wire.send('one\r\nab\r\ncd\xfftwo\n\r\nrest')
  assert.equal(await wire.readLine(100), 'one')
  assert.equal(await wire.readBytes(0), '')
  assert.equal(await wire.readBytes(7), 'ab\r\ncd\xff')
  assert.equal(await wire.readLine(100), 'two')
  assert.equal(await wire.readLine(100), '')
  await sent
  assert.equal(wire.detach(), 'rest')
})

testEveryCut('gives what came before the end, and then says that it is over', async (cut) => {
  const wire = new MemoryWire('backend', { cut })
  await wire.send('one\r\ntwo\r\nhalf')
  await wire.end()
  assert.deepEqual(await readAll(wire, 100), ['one', 'two', 'backend-closed'])
})

testEveryCut('refuses a line over the limit, and none within it', async (cut) => {
  const wire = new MemoryWire('client', { cut })
  await wire.send(`${'x'.repeat(9)}\r\n${'y'.repeat(10)}\n${'z'.repeat(11)}\n`)
  assert.deepEqual(await readAll(wire, 10), ['x'.repeat(9), 'y'.repeat(10), 'client-line-too-long'])
})

testEveryCut('refuses a line over the limit before its end has come', async (cut) => {
  const wire = new MemoryWire('client', { cut })
  const read = readAll(wire, 10)
  await wire.send('x'.repeat(11))
  assert.deepEqual(await read, ['client-line-too-long'])
})

test('ends the wait under way and all later ones with the first failure', async () => {
  const wire = new MemoryWire('client')
  const waiting = wire.readLine(100)
  wire.fail(new MuxError('client-login-timeout', 'too late'))
  wire.fail(new MuxError('shutting-down', 'later'))
  await assert.rejects(waiting, { code: 'client-login-timeout' })
  await assert.rejects(wire.readLine(100), { code: 'client-login-timeout' })
})

test('refuses two reads at once', async () => {
  const wire = new MemoryWire('client')
  const first = wire.readLine(100)
  await assert.rejects(wire.readLine(100), /two reads at once/)
  await wire.send('one\r\n')
  assert.equal(await first, 'one')
})

test('stops reading a side that floods, and goes on when its lines are read', async () => {
  const wire = new MemoryWire('client')
  const line = `${'x'.repeat(1022)}\r\n`
  for (let i = 0; i < 80; i++) await wire.send(line)
  assert.ok(wire.bufferedBytes <= 64 * 1024 + line.length, `${wire.bufferedBytes} bytes were read ahead`)
  for (let i = 0; i < 80; i++) assert.equal(await wire.readLine(2000), line.trimEnd())
})

// Over a real socket, whose stream keeps some of the bytes itself while it is paused
test('gives every line of a side that sent far more than is read ahead', async (t) => {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = (await once(server, 'connection')) as [Socket]
  t.after(() => {
    client.destroy()
    socket.destroy()
    server.close()
  })
  const lines = new LineSocket(socket, 'client')
  const line = 'x'.repeat(1022)
  client.write(`${line}\r\n`.repeat(8192))
  await until(
    READ_DEADLINE_MS,
    () => socket.isPaused() || undefined,
    () => 'it was never paused',
  )
  for (let read = 0; read < 8192; read++)
    assert.equal(await within(READ_DEADLINE_MS, lines.readLine(2000), () => `stuck after ${read} lines`), line)
})
