/** The handle of a running relay: it ends at a safe point that the watch reports, or at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RelayGuard, RelayObserver } from '../../../src/relay/gate.ts'
import { startRelay } from './fixture.ts'

/** A command is in progress from the client's octets to the end of a line of the back end. `lost` ends the watch. */
function linesInTurn(): RelayObserver & { calls: number } {
  let unanswered = 0
  return {
    mode: 'observe',
    calls: 0,
    fromClient(chunk) {
      this.calls++
      unanswered++
      return !chunk.includes('lost')
    },
    fromBackend(chunk) {
      this.calls++
      if (chunk.at(-1) === 10) unanswered = 0
      return true
    },
    isIdle: () => unanswered === 0,
  }
}

test('ends an idle relay at once, with the goodbye', async (t) => {
  for (const why of ['shutdown', 'idle'] as const) {
    const relay = await startRelay(t, { watch: linesInTurn() })
    relay.handle.endWhenSafe(why)
    await relay.client.expect(why === 'idle' ? '* BYE idle' : '* BYE')
    await relay.client.expectClose()
    await relay.backend.expectClose()
    assert.equal((await relay.ending()).cause, why)
  }
})

test('waits for the end of a command, and ends behind its answer', async (t) => {
  const relay = await startRelay(t, { watch: linesInTurn() })
  relay.client.send('a SEARCH BODY x')
  await relay.backend.expect('a SEARCH BODY x')
  relay.handle.endWhenSafe('shutdown')
  relay.relays.sweep(0)
  relay.relays.sweep(20_000)
  assert.equal(relay.near.client.destroyed, false)
  relay.backend.send('a OK')
  await relay.client.expect('a OK')
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('ends a relay that begins during a drain, at once where it is idle', async (t) => {
  const relay = await startRelay(t, { leave: 'shutdown', watch: linesInTurn() })
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('answers first what a client sent before a relay that begins during a drain', async (t) => {
  const relay = await startRelay(t, {
    leave: 'shutdown',
    watch: linesInTurn(),
    unreadFromClient: Buffer.from('a NOOP\r\n'),
  })
  await relay.backend.expect('a NOOP')
  relay.backend.send('a OK')
  await relay.client.expect('a OK')
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('delivers an answer whole before the goodbye', async (t) => {
  const answer = `${'x'.repeat(4 * 1024 * 1024)}\r\n`
  const relay = await startRelay(t, { watch: linesInTurn() })
  relay.client.send('a FETCH')
  await relay.backend.expect('a FETCH')
  relay.handle.endWhenSafe('shutdown')
  relay.backend.sendRaw(answer)
  const received = await relay.client.readBytes(answer.length)
  assert.equal(received.equals(Buffer.from(answer)), true)
  // Each sweep looks again whether the client has been sent everything.
  let nowMs = 0
  const sweeps = setInterval(() => relay.relays.sweep((nowMs += 1000)), 10)
  t.after(() => clearInterval(sweeps))
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).bytesFromBackend, answer.length)
})

test('falls back on silence where the watch has lost track, and asks it no more', async (t) => {
  const watch = linesInTurn()
  const relay = await startRelay(t, { watch })
  relay.client.send('lost')
  await relay.backend.expect('lost')
  relay.backend.send('whatever')
  await relay.client.expect('whatever')
  assert.equal(watch.calls, 1)
  relay.relays.sweep(0)
  relay.handle.endWhenSafe('shutdown')
  relay.relays.sweep(1999)
  assert.equal(relay.near.client.destroyed, false)
  relay.relays.sweep(2000)
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('says nothing to a silent client while a command is in progress', async (t) => {
  const relay = await startRelay(t, { watch: linesInTurn(), idleMs: 10_000 })
  relay.client.send('a SEARCH BODY x')
  await relay.backend.expect('a SEARCH BODY x')
  relay.relays.sweep(0)
  relay.relays.sweep(10_000)
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'idle')
})

test('ends at once for any cause, whatever is in progress, and counts until then', async (t) => {
  const relay = await startRelay(t, { watch: linesInTurn() })
  relay.client.send('a SEARCH BODY x')
  await relay.backend.expect('a SEARCH BODY x')
  assert.deepEqual(relay.handle.counts, { bytesFromClient: 17, bytesFromBackend: 0 })
  relay.handle.end('shutdown-deadline')
  await relay.client.expectClose()
  await relay.backend.expectClose()
  assert.deepEqual(await relay.ending(), { cause: 'shutdown-deadline', bytesFromClient: 17, bytesFromBackend: 0 })
  relay.handle.endWhenSafe('shutdown')
  assert.equal((await relay.ending()).cause, 'shutdown-deadline')
})

test('keeps the cause of its end, though it is to end at a safe point too', async (t) => {
  const relay = await startRelay(t, { watch: linesInTurn() })
  relay.handle.end('shutdown-deadline')
  relay.handle.endWhenSafe('shutdown')
  relay.handle.endWhenSafe('idle')
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'shutdown-deadline')
})

test('a guard may answer a forbidden command itself, and rewrite a line of the back end', async (t) => {
  const watch: RelayGuard = {
    mode: 'guard',
    farewell: 'BYE\r\n',
    isIdle: () => true,
    fromClient(chunk, pass) {
      if (chunk.includes('UNAUTHENTICATE')) return 'forbidden'
      pass(chunk)
      return chunk.length
    },
    fromBackend(chunk, pass) {
      pass(Buffer.from(chunk.toString('latin1').replace('REFERRAL', 'TRYLATER')))
      return true
    },
  }
  const relay = await startRelay(t, { watch })
  relay.backend.send('OK (REFERRAL)')
  await relay.client.expect('OK (TRYLATER)')
  relay.client.send('UNAUTHENTICATE')
  await relay.client.expect('BYE')
  await relay.client.expectClose()
  await relay.backend.expectClose()
  assert.deepEqual(await relay.ending(), { cause: 'client-unauthenticate', bytesFromClient: 0, bytesFromBackend: 15 })
})

test('returns for how long neither side has sent anything', async (t) => {
  const relay = await startRelay(t)
  relay.relays.sweep(1000)
  relay.relays.sweep(31_000)
  assert.equal(relay.handle.silentMs, 30_000)
  relay.client.send('a NOOP')
  await relay.backend.expect('a NOOP')
  assert.equal(relay.handle.silentMs, 0)
  relay.relays.sweep(32_000)
  relay.backend.send('a OK')
  await relay.client.expect('a OK')
  relay.relays.sweep(40_000)
  relay.relays.sweep(45_000)
  assert.equal(relay.handle.silentMs, 5000)
})
