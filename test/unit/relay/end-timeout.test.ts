/** A relay that is told to end while mailmux goes on: at a safe point with the goodbye of its reason, or cut when its time is over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ImapWatch } from '../../../src/protocol/imap/watch.ts'
import { Pop3Watch } from '../../../src/protocol/pop3/watch.ts'
import { startRelay } from './fixture.ts'

const REASONS = ['moved', 'drained', 'rebalanced', 'kicked', 'disabled'] as const

test('ends an idle session with the goodbye of its reason', async (t) => {
  for (const why of REASONS) {
    const relay = await startRelay(t, { watch: new ImapWatch() })
    relay.handle.endWhenSafe(why, 60_000)
    await relay.client.expect(`* BYE ${why}`)
    await relay.client.expectClose()
    assert.deepEqual(await relay.ending(), { cause: why, bytesFromClient: 0, bytesFromBackend: 0 })
  }
})

test('cuts a session in an APPEND when its time is over, and not before', async (t) => {
  const relay = await startRelay(t, { watch: new ImapWatch(), idleMs: 1_860_000 })
  relay.client.send('a APPEND INBOX {10000}')
  await relay.backend.expect('a APPEND INBOX {10000}')
  relay.handle.endWhenSafe('moved', 60_000)
  relay.relays.sweep(1000)
  relay.relays.sweep(60_999)
  assert.equal(relay.near.client.destroyed, false)
  relay.relays.sweep(61_000)
  await relay.client.expectClose()
  await relay.backend.expectClose()
  const { cause, cut } = await relay.ending()
  assert.deepEqual([cause, cut], ['moved', true])
})

test('waits for QUIT of a POP3 session with a message marked as deleted, until its time is over', async (t) => {
  const relay = await startRelay(t, { watch: new Pop3Watch() })
  relay.client.send('DELE 1')
  await relay.backend.expect('DELE 1')
  relay.backend.send('+OK')
  await relay.client.expect('+OK')
  relay.handle.endWhenSafe('kicked', 60_000)
  relay.relays.sweep(0)
  relay.relays.sweep(59_000)
  assert.equal(relay.near.client.destroyed, false)
  relay.client.send('QUIT')
  await relay.backend.expect('QUIT')
  relay.backend.send('+OK deleted')
  relay.backend.end()
  await relay.client.expect('+OK deleted')
  await relay.client.expectClose()
  relay.client.end()
  assert.deepEqual((await relay.ending()).cause, 'backend-closed')
})

test('a second order shortens the time and never extends it', async (t) => {
  const relay = await startRelay(t, { watch: new ImapWatch() })
  relay.client.send('a SEARCH BODY x')
  await relay.backend.expect('a SEARCH BODY x')
  relay.handle.endWhenSafe('drained', 60_000)
  relay.relays.sweep(0)
  relay.handle.endWhenSafe('kicked', 5000)
  relay.handle.endWhenSafe('shutdown')
  relay.relays.sweep(10_000)
  assert.equal(relay.near.client.destroyed, false)
  relay.relays.sweep(15_000)
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('a session that has no watch and never falls silent is cut when its time is over', async (t) => {
  const relay = await startRelay(t, { watch: undefined })
  relay.handle.endWhenSafe('drained', 3000)
  for (let nowMs = 0; nowMs < 3000; nowMs += 1000) {
    relay.backend.send('x')
    await relay.client.expect('x')
    relay.relays.sweep(nowMs)
    assert.equal(relay.near.client.destroyed, false)
  }
  relay.relays.sweep(3000)
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cut, true)
})

test('cuts a session at once where it has no time at all, whatever is in progress', async (t) => {
  const relay = await startRelay(t, { watch: new ImapWatch() })
  relay.client.send('a SEARCH BODY x')
  await relay.backend.expect('a SEARCH BODY x')
  relay.handle.endWhenSafe('kicked', 0)
  await relay.client.expectClose()
  assert.deepEqual(await relay.ending(), { cause: 'kicked', cut: true, bytesFromClient: 17, bytesFromBackend: 0 })
})

test('ends an idle session that has no time at all with the goodbye, and does not call that a cut', async (t) => {
  const relay = await startRelay(t, { watch: new ImapWatch() })
  relay.handle.endWhenSafe('kicked', 0)
  await relay.client.expect('* BYE kicked')
  await relay.client.expectClose()
  assert.deepEqual(await relay.ending(), { cause: 'kicked', bytesFromClient: 0, bytesFromBackend: 0 })
})

test('a second order with the same time does not start that anew', async (t) => {
  const relay = await startRelay(t, { watch: new ImapWatch(), idleMs: 1_860_000 })
  relay.client.send('a SEARCH BODY x')
  await relay.backend.expect('a SEARCH BODY x')
  relay.handle.endWhenSafe('drained', 60_000)
  relay.relays.sweep(0)
  relay.relays.sweep(59_000)
  relay.handle.endWhenSafe('moved', 60_000)
  relay.relays.sweep(60_000)
  const { cause, cut } = await relay.ending()
  assert.deepEqual([cause, cut], ['moved', true])
})
