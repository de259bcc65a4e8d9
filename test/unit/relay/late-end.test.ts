/** The idle clients of a store that closes its connections: each is disconnected at a time of its own. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ImapWatch } from '../../../src/protocol/imap/watch.ts'
import { READ_DEADLINE_MS, until } from '../../support/deadline.ts'
import { startRelay, type Relayed } from './fixture.ts'

/** A relay at rest at 3000 ms of its sweeps, whose moment is half of the window. */
async function rest(t: TestContext, spreadMs = 10_000): Promise<Relayed> {
  t.mock.method(Math, 'random', () => 0.5)
  const relayed = await startRelay(t, { spreadMs })
  const { client, backend, relays, handle } = relayed
  client.send('hello')
  await backend.expect('hello')
  backend.send('hello')
  await client.expect('hello')
  relays.sweep(0)
  relays.sweep(3000)
  assert.ok(handle.isResting())
  return relayed
}

const hungUp = ({ near }: Relayed): Promise<true> =>
  until(
    READ_DEADLINE_MS,
    () => near.backend.closed || undefined,
    () => 'the back end has not hung up',
  )

for (const [how, cause] of [
  ['end', 'backend-closed'],
  ['reset', 'backend-reset'],
] as const)
  test(`an idle client is disconnected at its scheduled time (${how} of the back end)`, async (t) => {
    const relayed = await rest(t)
    const { backend, client, near, relays } = relayed
    if (how === 'end') backend.end()
    else backend.socket.resetAndDestroy()
    await hungUp(relayed)
    relays.sweep(4000)
    relays.sweep(8999)
    assert.equal(near.client.writableEnded, false)
    relays.sweep(9000)
    await client.expectClose()
    client.end()
    assert.equal((await relayed.ending()).cause, cause)
  })

test('a client that sends something is disconnected at once', async (t) => {
  const relayed = await rest(t)
  relayed.backend.end()
  await hungUp(relayed)
  relayed.client.send('noop')
  await relayed.client.expectClose()
  relayed.client.end()
  assert.equal((await relayed.ending()).cause, 'backend-closed')
})

for (const how of ['end', 'reset'] as const)
  test(`a client that leaves meanwhile ends the relay (${how} of the client)`, async (t) => {
    const relayed = await rest(t)
    relayed.backend.end()
    await hungUp(relayed)
    if (how === 'end') relayed.client.end()
    else relayed.client.socket.resetAndDestroy()
    assert.equal((await relayed.ending()).cause, 'backend-closed')
  })

test('the end of a session at a safe point does not wait for the moment', async (t) => {
  const relayed = await rest(t)
  relayed.backend.end()
  await hungUp(relayed)
  relayed.handle.endWhenSafe('shutdown')
  await relayed.client.expectClose()
  relayed.client.end()
  await relayed.ending()
})

test('a cut does not wait for the moment', async (t) => {
  const relayed = await rest(t)
  relayed.backend.end()
  await hungUp(relayed)
  relayed.handle.end('shutdown-deadline')
  assert.equal((await relayed.ending()).cause, 'shutdown-deadline')
})

test('a client is disconnected at once if the back end sends something and closes', async (t) => {
  const { backend, client, ending } = await rest(t)
  backend.send('* BYE')
  backend.end()
  await client.expect('* BYE')
  await client.expectClose()
  client.end()
  await ending()
})

test('a session ends at once if a sweep comes between the answer to LOGOUT and the end of the back end', async (t) => {
  const { client, backend, relays, ending } = await startRelay(t, { spreadMs: 10_000, watch: new ImapWatch() })
  client.send('a LOGOUT')
  await backend.expect('a LOGOUT')
  backend.send('* BYE')
  backend.send('a OK')
  await client.expect('* BYE')
  await client.expect('a OK')
  relays.sweep(0)
  backend.end()
  await client.expectClose()
  client.end()
  await ending()
})

test('a client is disconnected at once if disconnects are not spread', async (t) => {
  const { backend, client, ending } = await rest(t, 0)
  backend.end()
  await client.expectClose()
  client.end()
  await ending()
})
