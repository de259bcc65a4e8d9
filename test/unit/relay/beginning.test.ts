/** What either side has done before the relay begins counts as if it were done after: its end, its close, and what waits to be written to it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import type { RelayGuard } from '../../../src/relay/gate.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'
import { connectPair, runRelay, type Far, type Relayed, type RelayedOptions } from './fixture.ts'

const SIDES = [
  ['client', 'backend'],
  ['backend', 'client'],
] as const

/** More than the kernel's buffers of a connection take: the rest waits in the socket for a peer that does not read. */
const FILLING = Buffer.alloc(32 * 1024 * 1024)

/** @param before happens to both connections before the relay begins */
async function startLate(
  t: TestContext,
  before: (far: Far, near: Relayed['near']) => Promise<unknown> | boolean,
  options?: RelayedOptions,
): Promise<Relayed> {
  const [client, nearClient] = await connectPair(t, 'accepts')
  const [backend, nearBackend] = await connectPair(t, 'connects')
  const near = { client: nearClient, backend: nearBackend }
  await before({ client, backend }, near)
  return runRelay({ client, backend }, near, options)
}

for (const [side, other] of SIDES) {
  // RFC 9293 3.6
  test(`closes to the ${other} if the ${side} ended before the relay began`, async (t) => {
    const relay = await startLate(t, (far, near) => {
      far[side].end()
      near[side].resume()
      return within(READ_DEADLINE_MS, once(near[side], 'end'), () => `no end of the ${side}`)
    })
    await relay[other].expectClose()
    relay[other].send('last')
    await relay[side].expect('last')
    relay[other].end()
    await relay[side].expectClose()
    assert.equal((await relay.ending()).cause, `${side}-closed`)
  })

  test(`closes the ${other} where the ${side} was closed before the relay began`, async (t) => {
    const relay = await startLate(t, (_far, near) => {
      near[side].destroy()
      return within(READ_DEADLINE_MS, once(near[side], 'close'), () => `the ${side} is not closed`)
    })
    await relay[other].expectClose()
    relay[other].end()
    assert.equal((await relay.ending()).cause, `${side}-closed`)
  })

  test(`closes the ${other} where the relay’s end of the ${side} is destroyed`, async (t) => {
    const relay = await startLate(t, () => true)
    relay.near[side].destroy()
    await relay[other].expectClose()
    relay[other].end()
    assert.equal((await relay.ending()).cause, `${side}-closed`)
  })

  test(`reads nothing from the ${side} while more waits for the ${other} than its connection takes`, async (t) => {
    const relay = await startLate(t, (_far, near) => near[other].write(FILLING))
    relay[side].send('next')
    assert.equal(relay.near[side].isPaused(), true)
    assert.equal(relay.near[other].isPaused(), false)
    await relay[other].readBytes(FILLING.length)
    await relay[other].expect('next')
  })
}

test('delivers what waits for a client that has closed its half, before it closes the other', async (t) => {
  let waiting = 0
  const relay = await startLate(t, (_far, near) => {
    // As much as the kernel takes, and a little more: the relay goes on to read the back end.
    const piece = Buffer.alloc(32 * 1024)
    for (; near.client.writableLength === 0; waiting += piece.length) near.client.write(piece)
    return true
  })
  relay.client.end()
  await relay.backend.expectClose()
  relay.backend.send('last')
  relay.backend.end()
  await within(READ_DEADLINE_MS, once(relay.near.backend, 'close'), () => 'the back end is not closed')
  await relay.client.readBytes(waiting)
  await relay.client.expect('last')
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'client-closed')
})

/** Takes one octet for each chunk of the back end. */
function octetsInTurn(): RelayGuard {
  let credit = 1
  return {
    mode: 'guard',
    farewell: '',
    isIdle: () => true,
    fromClient(chunk, pass) {
      const taken = Math.min(credit, chunk.length)
      if (taken > 0) pass(chunk.subarray(0, taken))
      credit -= taken
      return taken
    },
    fromBackend(chunk, pass) {
      credit++
      pass(chunk)
      return true
    },
  }
}

test('reads nothing from a client whose gate holds, though the back end has room again', async (t) => {
  const before = (_far: Far, near: Relayed['near']): boolean => near.backend.write(FILLING)
  const relay = await startLate(t, before, { watch: octetsInTurn(), unreadFromClient: Buffer.from('ab') })
  const drained = once(relay.near.backend, 'drain')
  await relay.backend.readBytes(FILLING.length + 1)
  await within(READ_DEADLINE_MS, drained, () => 'the back end has no room')
  assert.equal(relay.near.client.isPaused(), true)
  relay.backend.send('*')
  await relay.client.expect('*')
  assert.equal(relay.near.client.isPaused(), false)
  assert.equal((await relay.backend.readBytes(1)).toString(), 'b')
})

test('reads nothing from a client whose gate holds no more, while the back end has no room', async (t) => {
  const before = (_far: Far, near: Relayed['near']): boolean => near.backend.write(FILLING)
  const relay = await startLate(t, before, { watch: octetsInTurn(), unreadFromClient: Buffer.from('ab') })
  relay.backend.send('*')
  await relay.client.expect('*')
  assert.equal(relay.near.client.isPaused(), true)
  const all = await relay.backend.readBytes(FILLING.length + 2)
  assert.equal(all.toString('latin1', FILLING.length), 'ab')
})

test('closes to the client after the back end’s end, although its gate holds', async (t) => {
  const relay = await startLate(t, () => true, { watch: octetsInTurn(), unreadFromClient: Buffer.from('ab') })
  relay.backend.end()
  await relay.client.expectClose()
  relay.client.end()
  relay.backend.destroy()
  assert.equal((await relay.ending()).cause, 'backend-closed')
})

test('does not end a session at a safe point while its gate holds a part of a command', async (t) => {
  const options = { watch: octetsInTurn(), unreadFromClient: Buffer.from('ab') }
  const relay = await startLate(t, () => true, options)
  assert.equal((await relay.backend.readBytes(1)).toString(), 'a')
  relay.handle.endWhenSafe('shutdown')
  relay.relays.sweep(0)
  relay.relays.sweep(10_000)
  assert.equal(relay.near.client.destroyed, false)
  relay.backend.send('*')
  await relay.client.expect('*')
  assert.equal((await relay.backend.readBytes(1)).toString(), 'b')
})

test('sees the end of a client that was not read from when its back end was closed', async (t) => {
  const relay = await startLate(t, (_far, near) => near.backend.write(FILLING))
  relay.client.send('a NOOP')
  relay.client.end()
  relay.backend.socket.resetAndDestroy()
  await relay.client.expectClose()
  assert.equal((await relay.ending()).cause, 'backend-reset')
})
