import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
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
  relay.relays.drain()
  await relay.client.expect('* BYE')
  await relay.client.expectClose()
  relay.client.end()
  await relay.backend.expectClose()
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('a drain closes without a word where the protocol has none', async (t) => {
  const relay = await startAnswered(t, 2000, { goodbye: { shutdown: '', idle: '' } })
  relay.relays.drain()
  await relay.client.expectClose()
  relay.client.end()
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('a drain waits for a relay that was active a moment ago, and ends it when it is quiet', async (t) => {
  const relay = await startAnswered(t, 1999)
  relay.relays.drain()
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
  relay.relays.drain()
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
  relay.relays.drain()
  relay.backend.send(' rest)')
  await relay.client.expect(' rest)')
})

test('a drain waits for a last answer after a half-close', async (t) => {
  const relay = await startAnswered(t, 2000)
  relay.client.end()
  await relay.backend.expectClose()
  relay.relays.drain()
  relay.backend.send('a OK')
  await relay.client.expect('a OK')
  relay.backend.end()
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'client-closed')
})

test('a drain ends a relay that begins after it, once that is quiet', async (t) => {
  const { relays } = await startRelay(t)
  relays.drain()
  const relay = await startAnswered(t, 0, { relays })
  relays.sweep(1999)
  assert.equal(relay.near.client.destroyed, false)
  relays.sweep(2000)
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('the end of the grace period ends what is left, whatever it does', async (t) => {
  const relay = await startAnswered(t, 0)
  relay.client.send('b APPEND')
  await relay.backend.expect('b APPEND')
  relay.relays.drain()
  relay.relays.endAll()
  await relay.client.expectClose()
  await relay.backend.expectClose()
  assert.equal((await relay.ending()).cause, 'shutdown-deadline')
})
