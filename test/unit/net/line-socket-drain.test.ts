/** A peer that pipelines and reads nothing: its next line is not read until the answers to the last ones are sent. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { MuxError } from '../../../src/errors.ts'
import { LineSocket } from '../../../src/net/line-socket.ts'
import { protocols } from '../../../src/protocol/protocols.ts'
import type { ClientWire } from '../../../src/protocol/protocol.ts'
import { START_DEADLINE_MS, until, within } from '../../support/deadline.ts'

/** A socket's own buffer, and one answer more. */
const MOST_WAITING_BYTES = 128 * 1024
/** More than the kernel's buffers of a connection take: net.ipv4.tcp_rmem and tcp_wmem, whose largest are 32 and 4 MiB here. */
const KERNEL_BYTES = 48 * 1024 * 1024

const LINE = '12345678\r\n'
const ANSWER_BYTES = 4096

type Pair = { far: Socket; near: Socket; lines: LineSocket; mostWaiting: () => number }

async function connectPair(t: TestContext, side: 'client' | 'backend'): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const far = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true }).pause()
  const [near] = (await once(server, 'connection')) as [Socket]
  server.close()
  t.after(() => {
    far.destroy()
    near.destroy()
  })
  far.on('error', () => undefined)
  const lines = new LineSocket(near, side)
  let most = 0
  const write = near.write.bind(near) as (text: string, encoding: BufferEncoding) => boolean
  near.write = ((text: string, encoding: BufferEncoding) => {
    const hasRoom = write(text, encoding)
    most = Math.max(most, near.writableLength)
    return hasRoom
  }) as Socket['write']
  return { far, near, lines, mostWaiting: () => most }
}

/** Answers each line with much more. @returns the error that ends it */
async function answerAll(lines: LineSocket, answered: { count: number }): Promise<unknown> {
  try {
    for (;;) {
      lines.write(`${await lines.readLine(100)} ${'x'.repeat(ANSWER_BYTES - LINE.length - 1)}\r\n`)
      answered.count++
    }
  } catch (error) {
    return error
  }
}

/** Waits until as much is written as the peer's and the kernel's buffers take, and the near end waits for them. */
async function untilItWaits({ near }: Pair): Promise<void> {
  await until(
    START_DEADLINE_MS,
    () => near.writableNeedDrain || undefined,
    () => 'the kernel takes everything',
  )
}

for (const side of ['client', 'backend'] as const) {
  test(`a ${side} that pipelines and reads nothing has little waiting for it, and gets every answer once it reads`, async (t) => {
    const pair = await connectPair(t, side)
    const { far, lines, mostWaiting } = pair
    const count = Math.ceil(KERNEL_BYTES / ANSWER_BYTES)
    const answered = { count: 0 }
    const over = answerAll(lines, answered)
    far.write(LINE.repeat(count))
    far.end()
    await untilItWaits(pair)
    for (let turn = 0; turn < 100; turn++) await setImmediate()
    assert.ok(mostWaiting() <= MOST_WAITING_BYTES, `${mostWaiting()} bytes waited`)
    let read = 0
    far.on('data', (chunk: Buffer) => (read += chunk.length)).resume()
    const error = await within(START_DEADLINE_MS, over, () => `${answered.count} of ${count} lines were answered`)
    assert.equal((error as MuxError).code, `${side}-closed`)
    await until(
      START_DEADLINE_MS,
      () => read === count * ANSWER_BYTES || undefined,
      () => `${read} of ${count * ANSWER_BYTES} bytes were read`,
    )
    assert.ok(mostWaiting() <= MOST_WAITING_BYTES, `${mostWaiting()} bytes waited`)
  })

  test(`a deadline ends the wait for a ${side} that does not read, and each later one`, async (t) => {
    const pair = await connectPair(t, side)
    const answered = { count: 0 }
    const over = answerAll(pair.lines, answered)
    pair.far.write(LINE.repeat(Math.ceil(KERNEL_BYTES / ANSWER_BYTES)))
    await untilItWaits(pair)
    const { count } = answered
    const late = new MuxError('client-login-timeout', 'late')
    pair.lines.fail(late)
    assert.equal(await within(START_DEADLINE_MS, over, () => 'the wait goes on'), late)
    await assert.rejects(
      within(START_DEADLINE_MS, pair.lines.readLine(100), () => 'the second wait goes on'),
      late,
    )
    assert.equal(answered.count, count)
  })

  test(`the end of the connection ends the wait for a ${side} that does not read`, async (t) => {
    const pair = await connectPair(t, side)
    const over = answerAll(pair.lines, { count: 0 })
    pair.far.write(LINE.repeat(Math.ceil(KERNEL_BYTES / ANSWER_BYTES)))
    await untilItWaits(pair)
    pair.far.resetAndDestroy()
    const error = await within(START_DEADLINE_MS, over, () => 'the wait goes on')
    assert.match((error as MuxError).code, new RegExp(`^${side}-(closed|reset)$`))
  })
}

test('a deadline that passes between two reads ends the next one, though the client reads nothing', async (t) => {
  const pair = await connectPair(t, 'client')
  const { near, far, lines } = pair
  far.write('one\r\ntwo\r\n')
  assert.equal(await lines.readLine(100), 'one')
  near.write('x'.repeat(KERNEL_BYTES))
  assert.ok(near.writableNeedDrain)
  const late = new MuxError('client-login-timeout', 'late')
  lines.fail(late)
  await assert.rejects(
    within(START_DEADLINE_MS, lines.readLine(100), () => 'the wait goes on'),
    late,
  )
})

const COMMANDS = { imap: 'a CAPABILITY', pop3: 'CAPA' } as const

for (const name of ['imap', 'pop3'] as const)
  test(`${name} answers ${COMMANDS[name]} no faster than the client reads`, async (t) => {
    const pair = await connectPair(t, 'client')
    const { lines } = pair
    const client: ClientWire = {
      readLine: (limit) => lines.readLine(limit),
      readBytes: (count) => lines.readBytes(count),
      write: (text) => lines.write(text),
      startTls: () => Promise.reject(new Error('no TLS here')),
      secure: false,
      certifiedUser: undefined,
    }
    const dialogue = protocols[name].openDialogue(client, {
      banner: 'ready',
      product: 'mailmux',
      startTlsOffered: false,
      allowPlaintextAuth: true,
      mechanisms: ['PLAIN'],
      announced: ['IDLE', 'MOVE', 'UIDPLUS', 'CONDSTORE', 'QRESYNC', 'SPECIAL-USE'],
      maxLineBytes: 8192,
      maxBadCommands: 3,
      maxWrongPasswords: 5,
    })
    dialogue.greet()
    const over = dialogue.awaitLogin().catch((error: unknown) => error)
    pair.far.write(`${COMMANDS[name]}\r\n`.repeat(256 * 1024))
    await untilItWaits(pair)
    for (let turn = 0; turn < 100; turn++) await setImmediate()
    assert.ok(pair.mostWaiting() <= MOST_WAITING_BYTES, `${pair.mostWaiting()} bytes waited`)
    pair.far.destroy()
    await within(START_DEADLINE_MS, over, () => 'the dialogue goes on')
  })
