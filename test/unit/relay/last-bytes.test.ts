/** How a relay ends where one side does not read: within a few seconds, and with the cause that ended it. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { NO_GOODBYE } from '../../../src/protocol/unasked-goodbye.ts'
import { createRelays } from '../../../src/relay/relays.ts'
import { connectPair, startRelay } from './fixture.ts'

/** More than the kernel's buffers of a connection take: the rest waits in the socket for a peer that does not read. */
const FILLING = Buffer.alloc(32 * 1024 * 1024)

/** Unlike `once`, does not reject on the reset that comes first. */
const closed = (socket: Socket): Promise<unknown> => new Promise((resolve) => socket.once('close', resolve))

for (const why of ['shutdown', 'idle'] as const)
  test(`cuts off a client that does not read its goodbye within five seconds (${why})`, async (t) => {
    const relay = await startRelay(t, { idleMs: why === 'idle' ? 10_000 : 60_000 })
    relay.near.client.write(FILLING)
    relay.relays.sweep(0)
    relay.relays.sweep(10_000)
    if (why === 'shutdown') relay.handle.endWhenSafe('shutdown')
    await closed(relay.near.backend)
    relay.relays.sweep(11_000)
    relay.relays.sweep(15_999)
    assert.equal(relay.near.client.destroyed, false)
    relay.relays.sweep(16_000)
    assert.equal(relay.near.client.destroyed, true)
    assert.equal((await relay.ending()).cause, why)
  })

test('says goodbye once, though more than one cause applies', async (t) => {
  const relay = await startRelay(t, { idleMs: 10_000 })
  relay.relays.sweep(0)
  relay.relays.sweep(10_000)
  relay.handle.endWhenSafe('shutdown')
  await relay.client.expect('* BYE idle')
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'idle')
})

for (const [gone, left] of [
  ['backend', 'client'],
  ['client', 'backend'],
] as const) {
  test(`cuts off a ${left} that reads nothing for 30 s once the ${gone} is closed`, async (t) => {
    const relay = await startRelay(t)
    relay.near[left].write(FILLING)
    relay[gone].socket.resetAndDestroy()
    await closed(relay.near[gone])
    relay.relays.sweep(1000)
    relay.relays.sweep(30_999)
    assert.equal(relay.near[left].destroyed, false)
    relay.relays.sweep(31_000)
    assert.equal(relay.near[left].destroyed, true)
    assert.equal((await relay.ending()).cause, `${gone}-reset`)
  })

  test(`delivers everything to a ${left} that reads slowly once the ${gone} is closed`, async (t) => {
    const relay = await startRelay(t)
    relay.near[left].write(FILLING)
    relay[gone].socket.resetAndDestroy()
    await closed(relay.near[gone])
    relay.relays.sweep(0)
    relay.relays.sweep(29_000)
    await relay[left].readBytes(FILLING.length)
    relay.relays.sweep(31_000)
    await relay[left].expectClose()
    relay[left].end()
    assert.equal((await relay.ending()).cause, `${gone}-reset`)
  })
}

test('closes a client that has read everything and keeps its half open for five seconds', async (t) => {
  const relay = await startRelay(t)
  relay.backend.send('* BYE')
  await relay.client.expect('* BYE')
  const closing = closed(relay.near.backend)
  relay.backend.socket.resetAndDestroy()
  await relay.client.expectClose()
  await closing
  relay.client.send('a NOOP') // dropped: the back end is gone
  relay.relays.sweep(1000)
  relay.relays.sweep(5999)
  assert.equal(relay.near.client.destroyed, false)
  relay.relays.sweep(6000)
  assert.equal((await relay.ending()).cause, 'backend-reset')
})

test('waits for the back end where the client was closed just before the relay began', async (t) => {
  const [, client] = await connectPair(t, 'accepts')
  const [far, backend] = await connectPair(t, 'connects')
  backend.write(FILLING)
  client.destroy() // `closed` is true at once, the event follows
  const relays = createRelays()
  const { ended } = relays.run(client, backend, {
    idleMs: 60_000,
    spreadMs: 0,
    goodbye: NO_GOODBYE,
    watch: undefined,
    unreadFromClient: undefined,
    unreadFromBackend: undefined,
    account: () => undefined,
  })
  let isOver = false
  void ended.then(() => (isOver = true))
  await closed(client)
  await setImmediate()
  assert.equal(isOver, false)
  await far.readBytes(FILLING.length)
  await ended
})
