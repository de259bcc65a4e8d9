/** Each side reuses its read buffers, in clear and in TLS. Nothing is lost by that, whatever the receiver does. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { acceptTls, connectTls } from '../../../src/tls/upgrade.ts'
import { makeAuthority, type Authority, type Leaf } from '../../support/certificates.ts'
import { until, READ_DEADLINE_MS } from '../../support/deadline.ts'
import type { ScriptedPeer } from '../../support/scripted-peer.ts'
import { connectPair, runRelay, type Relayed } from './fixture.ts'

const MESSAGE = randomBytes(4 * 1024 * 1024)

type Transport = 'clear' | 'TLSv1.2' | 'TLSv1.3'
type Side = 'client' | 'backend'

let directory: string
let authority: Authority
let leaf: Leaf

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailmux-tls-'))
  authority = await makeAuthority(directory)
  leaf = await authority.issue('server')
})

after(() => rm(directory, { recursive: true }))

const trust = () => ({ ca: authority.ca, servername: 'localhost' })

/** As a client's connection, whose TLS mailmux accepts, or as one to a back end. The peer's own socket stays in the transcript's hands. */
async function secure(
  side: Side,
  version: Exclude<Transport, 'clear'>,
  peer: ScriptedPeer,
  near: Socket,
): Promise<Socket> {
  const versions = { minVersion: version, maxVersion: version }
  const { cert, key } = leaf
  if (side === 'client') {
    const [accepted] = await Promise.all([acceptTls(near, { cert, key, ...versions }), peer.startTls(trust())])
    return accepted
  }
  const asServer = peer.startTls({ cert, key }, READ_DEADLINE_MS)
  const [connected] = await Promise.all([connectTls(near, { ...trust(), ...versions }), asServer])
  return connected
}

async function start(t: TestContext, side: Side, transport: Transport): Promise<Relayed> {
  const [client, nearClient] = await connectPair(t, 'accepts')
  const [backend, nearBackend] = await connectPair(t, 'connects')
  const near = { client: nearClient, backend: nearBackend }
  if (transport !== 'clear')
    near[side] = await secure(side, transport, side === 'client' ? client : backend, near[side])
  return runRelay({ client, backend }, near)
}

for (const side of ['client', 'backend'] as const)
  for (const transport of ['clear', 'TLSv1.2', 'TLSv1.3'] as const) {
    const name = `${side} in ${transport}`

    test(`${name}: carries much both ways, then lines, and ends as before`, async (t) => {
      const { near, client, backend, ending } = await start(t, side, transport)
      const [from, to] = side === 'client' ? [client, backend] : [backend, client]
      const memories = new Set<ArrayBufferLike>()
      let chunks = 0
      near[side].on('data', (chunk: Buffer) => {
        memories.add(chunk.buffer)
        chunks++
      })
      for (let time = 0; time < 2; time++) {
        from.sendRaw(MESSAGE)
        assert.ok(MESSAGE.equals(await to.readBytes(MESSAGE.length)))
        to.sendRaw(MESSAGE)
        assert.ok(MESSAGE.equals(await from.readBytes(MESSAGE.length)))
      }
      // Node allocates 64 KiB for every four chunks where its internals are not as reuseReads expects.
      assert.ok(memories.size < chunks / 20, `${memories.size} buffers for ${chunks} chunks`)
      from.send('a NOOP')
      await to.expect('a NOOP')
      to.send('a OK')
      await from.expect('a OK')
      from.end()
      await to.expectClose()
      to.end()
      await from.expectClose()
      const bytes = {
        [side]: 2 * MESSAGE.length + 8,
        [side === 'client' ? 'backend' : 'client']: 2 * MESSAGE.length + 6,
      }
      const { client: bytesFromClient, backend: bytesFromBackend } = bytes
      assert.deepEqual(await ending(), { cause: `${side}-closed`, bytesFromClient, bytesFromBackend })
    })

    test(`${name}: loses nothing while the receiver does not read`, async (t) => {
      const { near, client, backend } = await start(t, side, transport)
      const [from, to] = side === 'client' ? [client, backend] : [backend, client]
      for (let time = 0; time < 3; time++) {
        to.socket.pause()
        for (let part = 0; part < 4; part++) from.sendRaw(MESSAGE)
        await until(
          READ_DEADLINE_MS,
          () => Promise.resolve(near[side].isPaused() || undefined),
          () => 'the relay goes on reading',
        )
        to.socket.resume()
        for (let part = 0; part < 4; part++) assert.ok(MESSAGE.equals(await to.readBytes(MESSAGE.length)))
      }
    })

    test(`${name}: reports a reset of a side that has sent much`, async (t) => {
      const { near, client, backend, ending } = await start(t, side, transport)
      const [from, to] = side === 'client' ? [client, backend] : [backend, client]
      from.sendRaw(MESSAGE)
      await to.readBytes(MESSAGE.length)
      near[side].destroy(new Error('reset'))
      await to.expectClose()
      to.end()
      assert.equal((await ending()).cause, `${side}-reset`)
    })
  }

test('reuses no memory in which an answer waits to be written, and loses nothing', async (t) => {
  const [client, nearClient] = await connectPair(t, 'accepts')
  const [backend, nearBackend] = await connectPair(t, 'connects')
  const answer = Buffer.alloc(32 * 1024 * 1024, 'answer')
  nearClient.write(answer)
  runRelay({ client, backend }, { client: nearClient, backend: nearBackend })
  client.sendRaw(MESSAGE)
  assert.ok(MESSAGE.equals(await backend.readBytes(MESSAGE.length)))
  assert.ok(answer.equals(await client.readBytes(answer.length)))
})
