import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { READ_DEADLINE_MS, until } from '../../support/deadline.ts'
import { startRelay, type Relayed } from './fixture.ts'

/** More than the kernel's buffers of both connections take. A chunk that is lost, or comes twice, changes the order of the random part. */
const MUCH = Buffer.alloc(32 * 1024 * 1024, randomBytes(1_000_003))

/** Ends both sides in good order. */
async function closeBoth({ client, backend }: Relayed): Promise<void> {
  client.end()
  await backend.expectClose()
  backend.end()
  await client.expectClose()
}

test('carries what the dialogue left unread first, in order, both ways', async (t) => {
  const relay = await startRelay(t, {
    unreadFromClient: Buffer.from('a one\r\n'),
    unreadFromBackend: Buffer.from('* one\r\n'),
    early: { client: 'b two\r\n', backend: '* two\r\n' },
  })
  relay.client.send('c three')
  relay.backend.send('* three')
  for (const line of ['a one', 'b two', 'c three']) await relay.backend.expect(line)
  for (const line of ['* one', '* two', '* three']) await relay.client.expect(line)
  await closeBoth(relay)
  assert.deepEqual(await relay.ending(), { cause: 'client-closed', bytesFromClient: 23, bytesFromBackend: 23 })
})

test('changes no octet', async (t) => {
  const relay = await startRelay(t)
  const bytes = randomBytes(300_000)
  relay.client.sendRaw(bytes)
  relay.backend.sendRaw(bytes)
  assert.ok(bytes.equals(await relay.backend.readBytes(bytes.length)))
  assert.ok(bytes.equals(await relay.client.readBytes(bytes.length)))
  await closeBoth(relay)
  await relay.ending()
  assert.deepEqual(relay.accounted, { fromClient: bytes.length, fromBackend: bytes.length })
})

test('changes nothing that waits to be written while more comes from the back end', async (t) => {
  const relay = await startRelay(t)
  // As much as the kernel takes, and a little more: what follows waits in mailmux, though not so much that it stops reading.
  const piece = Buffer.alloc(32 * 1024)
  let ahead = 0
  while (relay.near.client.writableLength === 0) {
    relay.near.client.write(piece)
    ahead += piece.length
  }
  // What fills the small memory makes the next read a large one, whose memory is handed on when it is not filled.
  const lines = [100, 2048, 9000, 2048, 9000, 100].map((bytes, index) => `${index}`.repeat(bytes - 2))
  for (const line of lines) {
    const read = relay.near.backend.bytesRead + line.length + 2
    relay.backend.send(line)
    await until(
      READ_DEADLINE_MS,
      () => (relay.near.backend.bytesRead === read ? true : undefined),
      () => `${line.slice(0, 10)} was not read`,
    )
  }
  await relay.client.readBytes(ahead)
  for (const line of lines) await relay.client.expect(line)
  await closeBoth(relay)
  await relay.ending()
})

for (const [reader, writer] of [
  ['client', 'backend'],
  ['backend', 'client'],
] as const)
  test(`stops reading from the ${writer} while the ${reader} does not read, and loses nothing`, async (t) => {
    const relay = await startRelay(t)
    const near = relay.near[reader]
    let mostWaiting = 0
    near.write = (chunk: Buffer) => {
      const hasRoom = Socket.prototype.write.call(near, chunk)
      mostWaiting = Math.max(mostWaiting, near.writableLength)
      return hasRoom
    }
    relay[writer].sendRaw(MUCH)
    await until(
      READ_DEADLINE_MS,
      () => (near.writableNeedDrain ? true : undefined),
      () => `the ${reader} took everything at once`,
    )
    assert.ok(relay.near[writer].readableLength <= 256 * 1024, `${relay.near[writer].readableLength} bytes read ahead`)
    assert.ok(relay[writer].socket.writableLength > 0, 'everything was taken from the writer')
    assert.ok(MUCH.equals(await relay[reader].readBytes(MUCH.length)))
    // two chunks of 64 KiB: the one that filled the buffer, and the one that came with it
    assert.ok(mostWaiting <= 256 * 1024, `${mostWaiting} bytes to write`)
    await closeBoth(relay)
    await relay.ending()
  })

test('does not stop either side while the other reads', async (t) => {
  const relay = await startRelay(t)
  for (let round = 0; round < 50; round++) {
    relay.client.send(`a${round} NOOP`)
    await relay.backend.expect(`a${round} NOOP`)
    relay.backend.send(`a${round} OK`)
    await relay.client.expect(`a${round} OK`)
    assert.ok(!relay.near.client.isPaused() && !relay.near.backend.isPaused())
  }
})

// RFC 9293 3.6
test('delivers the last answer to a client that has closed its half', async (t) => {
  const relay = await startRelay(t)
  relay.client.send('a FETCH 1 BODY[]')
  relay.client.end()
  await relay.backend.expect('a FETCH 1 BODY[]')
  await relay.backend.expectClose()
  const answer = randomBytes(3_000_000)
  relay.backend.sendRaw(answer)
  relay.backend.end()
  assert.ok(answer.equals(await relay.client.readBytes(answer.length)))
  await relay.client.expectClose()
  assert.deepEqual(await relay.ending(), {
    cause: 'client-closed',
    bytesFromClient: 18,
    bytesFromBackend: answer.length,
  })
})

test('delivers the last words to a back end that has closed its half', async (t) => {
  const relay = await startRelay(t)
  relay.backend.send('* BYE')
  relay.backend.end()
  await relay.client.expect('* BYE')
  await relay.client.expectClose()
  relay.client.send('last')
  await relay.backend.expect('last')
  relay.client.end()
  await relay.backend.expectClose()
  assert.deepEqual(await relay.ending(), { cause: 'backend-closed', bytesFromClient: 6, bytesFromBackend: 7 })
})

test('delivers a large answer whole when the back end closes right behind it', async (t) => {
  const relay = await startRelay(t)
  const answer = randomBytes(8_000_000)
  relay.backend.sendRaw(answer)
  relay.backend.end()
  assert.ok(answer.equals(await relay.client.readBytes(answer.length)))
  await relay.client.expectClose()
  relay.client.end()
  assert.equal((await relay.ending()).cause, 'backend-closed')
})

test('closes both sides when the client goes, and says so', async (t) => {
  const relay = await startRelay(t)
  relay.client.destroy()
  await relay.backend.expectClose()
  relay.backend.end()
  assert.equal((await relay.ending()).cause, 'client-closed')
})

for (const side of ['client', 'backend'] as const)
  test(`closes both sides when the ${side} resets, and says so`, async (t) => {
    const relay = await startRelay(t)
    relay[side].socket.resetAndDestroy()
    const other = side === 'client' ? relay.backend : relay.client
    await other.expectClose()
    other.end()
    assert.equal((await relay.ending()).cause, `${side}-reset`)
  })

test('ends a relay that was silent for its idle time, and not one moment sooner', async (t) => {
  const relay = await startRelay(t, { idleMs: 10_000 })
  relay.relays.sweep(1000)
  relay.relays.sweep(10_999)
  relay.client.send('a NOOP') // still alive
  await relay.backend.expect('a NOOP')
  relay.relays.sweep(11_000)
  relay.relays.sweep(20_999)
  relay.backend.send('a OK')
  await relay.client.expect('a OK')
  relay.relays.sweep(21_000)
  relay.relays.sweep(30_999)
  assert.equal(relay.near.client.destroyed, false)
  relay.relays.sweep(31_000)
  await relay.client.expect('* BYE idle')
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'idle')
})

test('says nothing to an idle client in the middle of an answer', async (t) => {
  const relay = await startRelay(t, { idleMs: 10_000 })
  relay.backend.sendRaw('* 1 FETCH (BODY[] {9}\r\nhalf')
  await relay.client.expect('* 1 FETCH (BODY[] {9}')
  assert.equal((await relay.client.readBytes(4)).toString(), 'half')
  relay.relays.sweep(0)
  relay.relays.sweep(10_000)
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'idle')
})

test('ends a relay whose other side stays silent after a half-close, and not one that still answers', async (t) => {
  const relay = await startRelay(t, { idleMs: 10_000_000 })
  relay.client.end()
  await relay.backend.expectClose()
  relay.relays.sweep(0)
  relay.relays.sweep(119_999)
  relay.backend.send('* still here')
  await relay.client.expect('* still here')
  relay.relays.sweep(120_000)
  relay.relays.sweep(239_999)
  assert.equal(relay.near.client.destroyed, false)
  relay.relays.sweep(240_000)
  assert.equal((await relay.ending()).cause, 'half-closed-too-long')
})

test('counts every byte once, however often it is swept', async (t) => {
  const relay = await startRelay(t)
  for (let second = 0; second < 5; second++) {
    relay.client.send('a')
    relay.backend.send('four')
    await relay.backend.expect('a')
    await relay.client.expect('four')
    relay.relays.sweep(second * 1000)
    assert.deepEqual(relay.accounted, { fromClient: 3 * (second + 1), fromBackend: 6 * (second + 1) })
  }
  relay.client.send('end')
  await relay.backend.expect('end')
  await closeBoth(relay)
  assert.deepEqual(await relay.ending(), { cause: 'client-closed', bytesFromClient: 20, bytesFromBackend: 30 })
  assert.deepEqual(relay.accounted, { fromClient: 20, fromBackend: 30 })
})

test('hands on all that it has read from a client that is gone', async (t) => {
  const relay = await startRelay(t)
  relay.client.sendRaw(MUCH)
  await until(
    READ_DEADLINE_MS,
    () => (relay.near.backend.writableLength > 0 ? true : undefined),
    () => 'the back end took everything at once',
  )
  relay.relays.sweep(0)
  const { fromClient } = relay.accounted
  assert.ok(fromClient > 0)
  relay.client.socket.resetAndDestroy()
  await relay.backend.readBytes(fromClient)
  assert.equal((await relay.ending()).cause, 'client-reset')
})
