import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { constants, createDeflateRaw } from 'node:zlib'
import { NO_GOODBYE } from '../../../src/protocol/unasked-goodbye.ts'
import { startRelay, type Relayed, type RelayedOptions } from './fixture.ts'

/** A relay in which one command was asked and answered, and nothing has happened for `quietMs` since. */
async function startAnswered(t: TestContext, quietMs: number, options: RelayedOptions = {}): Promise<Relayed> {
  const relay = await startRelay(t, options)
  relay.client.send('a NOOP')
  await relay.backend.expect('a NOOP')
  relay.backend.send('a OK')
  await relay.client.expect('a OK')
  relay.relays.sweep(0)
  relay.relays.sweep(quietMs)
  return relay
}

test('a drain ends a quiet relay at once, with the goodbye', async (t) => {
  const relay = await startAnswered(t, 2000)
  relay.handle.endWhenSafe('shutdown')
  await relay.client.expect('* BYE')
  await relay.client.expectClose()
  relay.client.end()
  await relay.backend.expectClose()
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('a drain closes without a word where the protocol has none', async (t) => {
  const relay = await startAnswered(t, 2000, { goodbye: NO_GOODBYE })
  relay.handle.endWhenSafe('shutdown')
  await relay.client.expectClose()
  relay.client.end()
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('a drain waits for a relay that was active a moment ago, and ends it when it is quiet', async (t) => {
  const relay = await startAnswered(t, 1999)
  relay.handle.endWhenSafe('shutdown')
  assert.equal(relay.near.client.destroyed, false)
  relay.relays.sweep(2000)
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('a drain waits while a client waits for its answer', async (t) => {
  const relay = await startAnswered(t, 0)
  relay.client.send('b SEARCH BODY x')
  await relay.backend.expect('b SEARCH BODY x')
  relay.relays.sweep(0)
  relay.relays.sweep(5000)
  relay.handle.endWhenSafe('shutdown')
  relay.relays.sweep(20_000)
  relay.backend.send('b OK')
  await relay.client.expect('b OK')
  relay.relays.sweep(21_000)
  assert.equal(relay.near.client.destroyed, false)
  relay.relays.sweep(23_000)
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('a drain waits while a back end is within a line', async (t) => {
  const relay = await startAnswered(t, 0)
  relay.backend.sendRaw('* 1 FETCH (BODY[] {9}\r\nhalf')
  await relay.client.expect('* 1 FETCH (BODY[] {9}')
  assert.equal((await relay.client.readBytes(4)).toString(), 'half')
  relay.relays.sweep(0)
  relay.relays.sweep(5000)
  relay.handle.endWhenSafe('shutdown')
  relay.backend.send(' rest)')
  await relay.client.expect(' rest)')
})

test('a drain waits for a last answer after a half-close', async (t) => {
  const relay = await startAnswered(t, 2000)
  relay.client.end()
  await relay.backend.expectClose()
  relay.handle.endWhenSafe('shutdown')
  relay.backend.send('a OK')
  await relay.client.expect('a OK')
  relay.backend.end()
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'client-closed')
})

test('a drain ends a relay that begins during it, once that is quiet', async (t) => {
  const relay = await startAnswered(t, 0, { leave: 'shutdown' })
  relay.relays.sweep(1999)
  assert.equal(relay.near.client.destroyed, false)
  relay.relays.sweep(2000)
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('the end of the grace period ends what is left, whatever it does', async (t) => {
  const relay = await startAnswered(t, 0)
  relay.client.send('b APPEND')
  await relay.backend.expect('b APPEND')
  relay.handle.endWhenSafe('shutdown')
  relay.handle.end('shutdown-deadline')
  await relay.client.expectClose()
  await relay.backend.expectClose()
  assert.equal((await relay.ending()).cause, 'shutdown-deadline')
})

type Flush = 'Z_SYNC_FLUSH' | 'Z_PARTIAL_FLUSH'

/** One direction of COMPRESS=DEFLATE (RFC 4978): each text as the octets that a sender flushes for it. */
function deflating(flush: Flush): (text: string) => Promise<Buffer> {
  const deflate = createDeflateRaw({ flush: constants[flush] })
  return async (text) => {
    deflate.write(text)
    const pieces: Buffer[] = []
    await new Promise<void>((resolve) => deflate.flush(constants[flush], resolve))
    for (let piece = deflate.read() as Buffer | null; piece; piece = deflate.read() as Buffer | null) pieces.push(piece)
    return Buffer.concat(pieces)
  }
}

/** A relay whose client has asked for compression, and then a command whose answer has come. */
async function startCompressed(t: TestContext, flush: Flush, options: RelayedOptions = {}): Promise<Relayed> {
  const relay = await startRelay(t, options)
  relay.client.send('a COMPRESS DEFLATE')
  await relay.backend.expect('a COMPRESS DEFLATE')
  relay.backend.send('a OK DEFLATE active')
  await relay.client.expect('a OK DEFLATE active')
  const question = await deflating(flush)('b SELECT INBOX\r\n')
  relay.client.sendRaw(question)
  await relay.backend.readBytes(question.length)
  const answer = await deflating(flush)('* 23 EXISTS\r\nb OK done\r\n')
  relay.backend.sendRaw(answer)
  await relay.client.readBytes(answer.length)
  return relay
}

// RFC 4978: octets of mailmux's own would be read as compressed ones
for (const flush of ['Z_SYNC_FLUSH', 'Z_PARTIAL_FLUSH'] as const) {
  test(`a drain ends a compressed session after two seconds of silence, without a message (${flush})`, async (t) => {
    const relay = await startCompressed(t, flush)
    relay.relays.sweep(0)
    relay.handle.endWhenSafe('shutdown')
    relay.relays.sweep(1999)
    assert.equal(relay.near.client.destroyed, false)
    relay.relays.sweep(2000)
    await relay.client.expectClose()
    assert.equal((await relay.ending()).cause, 'shutdown')
  })

  test(`an idle compressed session ends without a message (${flush})`, async (t) => {
    const relay = await startCompressed(t, flush, { idleMs: 10_000 })
    relay.relays.sweep(0)
    relay.relays.sweep(10_000)
    await relay.client.expectClose()
    assert.equal((await relay.ending()).cause, 'idle')
  })
}

test('a drain waits while a client waits for a compressed answer', async (t) => {
  const relay = await startCompressed(t, 'Z_SYNC_FLUSH')
  const question = await deflating('Z_SYNC_FLUSH')('c SEARCH BODY x\r\n')
  relay.client.sendRaw(question)
  await relay.backend.readBytes(question.length)
  relay.relays.sweep(0)
  relay.handle.endWhenSafe('shutdown')
  relay.relays.sweep(20_000)
  assert.equal(relay.near.client.destroyed, false)
  const answer = await deflating('Z_SYNC_FLUSH')('c OK done\r\n')
  relay.backend.sendRaw(answer)
  await relay.client.readBytes(answer.length)
  relay.relays.sweep(21_000)
  relay.relays.sweep(23_000)
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('sends no message into a compressed session whose last octets look like the end of a line', async (t) => {
  const relay = await startCompressed(t, 'Z_SYNC_FLUSH')
  relay.relays.sweep(0)
  relay.relays.sweep(1000) // at rest, in the middle of a line on either side: not text
  relay.client.sendRaw(Buffer.from('\x80\x0d\x0a', 'latin1'))
  await relay.backend.readBytes(3)
  relay.backend.sendRaw(Buffer.from('\x81\x0d\x0a', 'latin1'))
  await relay.client.readBytes(3)
  relay.handle.endWhenSafe('shutdown')
  relay.relays.sweep(2000)
  relay.relays.sweep(4000)
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('a drain ends TLS that is passed through after two seconds of silence', async (t) => {
  const relay = await startRelay(t, { goodbye: NO_GOODBYE })
  relay.client.sendRaw(Buffer.from('170303000401020304', 'hex'))
  await relay.backend.readBytes(9)
  relay.backend.sendRaw(Buffer.from('170303000405060708', 'hex'))
  await relay.client.readBytes(9)
  relay.relays.sweep(0)
  relay.handle.endWhenSafe('shutdown')
  relay.relays.sweep(2000)
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'shutdown')
})
