/** A side in TLS that sends much reuses its read buffers. Nothing else about its session changes, whatever the receiver does. */
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

type Version = 'TLSv1.2' | 'TLSv1.3'
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
async function secure(side: Side, version: Version, peer: ScriptedPeer, near: Socket): Promise<Socket> {
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

/** A relay one side of which is in TLS. */
async function startSecured(t: TestContext, side: Side, version: Version): Promise<Relayed> {
  const [client, nearClient] = await connectPair(t, 'accepts')
  const [backend, nearBackend] = await connectPair(t, 'connects')
  const near = { client: nearClient, backend: nearBackend }
  near[side] = await secure(side, version, side === 'client' ? client : backend, near[side])
  return runRelay({ client, backend }, near)
}

for (const side of ['client', 'backend'] as const)
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const name = `${side} in ${version}`

    test(`${name}: carries much both ways, then lines, and ends as before`, async (t) => {
      const { near, client, backend, ending } = await startSecured(t, side, version)
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
      // Node allocates 64 KiB for every four chunks where its internals are not as makeTlsLean expects.
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
      const { near, client, backend } = await startSecured(t, side, version)
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
      const { near, client, backend, ending } = await startSecured(t, side, version)
      const [from, to] = side === 'client' ? [client, backend] : [backend, client]
      from.sendRaw(MESSAGE)
      await to.readBytes(MESSAGE.length)
      near[side].destroy(new Error('reset'))
      await to.expectClose()
      to.end()
      assert.equal((await ending()).cause, `${side}-reset`)
    })
  }
