/** A session that is to end ends when everything has been written: what waits on either side goes first, by itself and without a sweep. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RelayObserver } from '../../../src/relay/gate.ts'
import { connectPair, runRelay, startRelay, type Relayed } from './fixture.ts'

/** More than the kernel's buffers of a connection take: the rest waits in the socket for a peer that does not read. */
const FILLING = Buffer.alloc(32 * 1024 * 1024)

/** Of a protocol whose sessions may end at any time. */
const ALWAYS_IDLE: RelayObserver = {
  mode: 'observe',
  fromClient: () => true,
  fromBackend: () => true,
  isIdle: () => true,
}

/** A relay that is to end, in which more waits for one side than its connection takes. */
async function startFilled(t: Parameters<typeof startRelay>[0], side: 'client' | 'backend'): Promise<Relayed> {
  const [client, nearClient] = await connectPair(t, 'accepts')
  const [backend, nearBackend] = await connectPair(t, 'connects')
  const near = { client: nearClient, backend: nearBackend }
  near[side].write(FILLING)
  const relay = runRelay({ client, backend }, near, { watch: ALWAYS_IDLE, leave: 'shutdown' })
  relay.relays.sweep(0)
  relay.relays.sweep(10_000)
  assert.equal(relay.handle.isResting(), false)
  return relay
}

test('ends once the client has read what waits for it', async (t) => {
  const relay = await startFilled(t, 'client')
  await relay.client.readBytes(FILLING.length)
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

test('ends once the back end has read what waits for it', async (t) => {
  const relay = await startFilled(t, 'backend')
  await relay.backend.readBytes(FILLING.length)
  relay.relays.sweep(11_000)
  await relay.client.expect('* BYE')
  assert.equal((await relay.ending()).cause, 'shutdown')
})

for (const [from, to] of [
  ['client', 'backend'],
  ['backend', 'client'],
] as const)
  test(`hands on what came from the ${from} before the relay began, though it may end at once`, async (t) => {
    const relay = await startRelay(t, { watch: ALWAYS_IDLE, leave: 'shutdown', early: { [from]: 'early' } })
    assert.equal((await relay[to].readBytes(5)).toString(), 'early')
  })

test('rests while no command is in progress and nothing has come since the last sweep', async (t) => {
  let isIdle = true
  const { handle, relays, client, backend } = await startRelay(t, { watch: { ...ALWAYS_IDLE, isIdle: () => isIdle } })
  assert.equal(handle.isResting(), true)
  isIdle = false
  assert.equal(handle.isResting(), false)
  isIdle = true
  client.send('a NOOP')
  await backend.expect('a NOOP')
  assert.equal(handle.isResting(), false)
  relays.sweep(0)
  assert.equal(handle.isResting(), true)
  backend.send('a OK')
  await client.expect('a OK')
  assert.equal(handle.isResting(), false)
})

test('ends at once by order, though the back end reads nothing of what waits for it', async (t) => {
  const relay = await startFilled(t, 'backend')
  relay.handle.end('shutdown-deadline')
  assert.equal(relay.near.backend.destroyed, true)
  assert.equal(relay.near.client.destroyed, true)
  assert.equal((await relay.ending()).cause, 'shutdown-deadline')
})
