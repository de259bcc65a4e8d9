/** A client that sends much is read as cheaply as a back end: the relay takes its connection over from the socket that accepted it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { connectPair, runRelay, startRelay, type Relayed } from './fixture.ts'

/** Enough that reads of 64 KiB, at which a client counts as one that sends much, come often. */
const MESSAGE = randomBytes(4 * 1024 * 1024)

/** A socket without a connection has no address. */
const isTakenOver = ({ near }: Relayed): boolean => near.client.remoteAddress === undefined

/** A relay whose client has sent a message, which the back end has read. */
async function startBusy(t: TestContext): Promise<Relayed> {
  const relay = await startRelay(t)
  relay.client.sendRaw(MESSAGE)
  assert.ok(MESSAGE.equals(await relay.backend.readBytes(MESSAGE.length)))
  assert.equal(isTakenOver(relay), true)
  return relay
}

test('leaves the connection of a client that sends commands where it is', async (t) => {
  const relay = await startRelay(t)
  relay.client.send('a NOOP')
  await relay.backend.expect('a NOOP')
  assert.equal(isTakenOver(relay), false)
})

test('carries both ways as before, and ends as before', async (t) => {
  const relay = await startBusy(t)
  relay.client.send('a NOOP')
  await relay.backend.expect('a NOOP')
  relay.backend.send('a OK')
  await relay.client.expect('a OK')
  relay.client.sendRaw(MESSAGE)
  assert.ok(MESSAGE.equals(await relay.backend.readBytes(MESSAGE.length)))
  relay.client.end()
  await relay.backend.expectClose()
  relay.backend.end()
  await relay.client.expectClose()
  const bytesFromClient = 2 * MESSAGE.length + 8
  assert.deepEqual(await relay.ending(), { cause: 'client-closed', bytesFromClient, bytesFromBackend: 6 })
})

test('reports a reset of a busy client as client-reset', async (t) => {
  const relay = await startBusy(t)
  relay.client.socket.resetAndDestroy()
  await relay.backend.expectClose()
  assert.equal((await relay.ending()).cause, 'client-reset')
})

test('the end of the socket that has no connection any more is not the end of the session', async (t) => {
  const relay = await startBusy(t)
  await new Promise((resolve) => relay.near.client.once('close', resolve).destroy())
  relay.client.send('a NOOP')
  await relay.backend.expect('a NOOP')
})

test('takes no connection over on which an answer waits to be written, and loses nothing', async (t) => {
  const [client, nearClient] = await connectPair(t, 'accepts')
  const [backend, nearBackend] = await connectPair(t, 'connects')
  const answer = Buffer.alloc(32 * 1024 * 1024)
  nearClient.write(answer)
  const relay = runRelay({ client, backend }, { client: nearClient, backend: nearBackend })
  relay.client.sendRaw(MESSAGE)
  assert.ok(MESSAGE.equals(await relay.backend.readBytes(MESSAGE.length)))
  assert.equal(isTakenOver(relay), false)
  await relay.client.readBytes(answer.length)
  assert.equal(relay.handle.counts.bytesFromClient, MESSAGE.length)
})
