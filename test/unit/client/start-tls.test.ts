/** No byte from before TLS is used after it: the client's side of a session, over real sockets and with a real handshake. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import { Secret } from '../../../src/secret.ts'
import { ClientConnection } from '../../../src/client/connection.ts'
import { buildCertificates } from '../../../src/tls/certificates.ts'
import type { ListenerContext } from '../../../src/world.ts'
import { makeAuthority, type Authority } from '../../support/certificates.ts'
import { ScriptedPeer } from '../../support/scripted-peer.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

let directory: string
let authority: Authority
let context: ListenerContext

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailmux-starttls-'))
  authority = await makeAuthority(directory)
  const leaf = await authority.issue('mail')
  const certificates = [{ ...leaf, key: new Secret(leaf.key) }]
  const settings = listenerSettings({ tls: 'starttls' })
  const tls = { certificates, minVersion: 'TLSv1.2', ticketSecret: undefined } as const
  const { serverOptions } = buildCertificates({ ...tls, certificates }, [settings], 'secret', Date.now())
  context = {
    settings,
    banner: () => '',
    tls: serverOptions.get(settings.name),
    trustedProxies: createIpSet([]),
    passthrough: new Map(),
  }
})

after(() => rm(directory, { recursive: true }))

async function connectClient(
  t: TestContext,
): Promise<{ peer: ScriptedPeer; conn: ClientConnection; handshakes: string[] }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [Socket]
  server.close()
  const handshakes: string[] = []
  const conn = new ClientConnection(accepted, context, (_version, _resumed, outcome) => {
    handshakes.push(outcome)
  })
  t.after(() => {
    socket.destroy()
    accepted.destroy()
  })
  return { peer: new ScriptedPeer(socket, false), conn, handshakes }
}

/** As a dialogue does it: reads the command, says OK, and hands over in the same turn. */
async function answerStartTls(conn: ClientConnection): Promise<void> {
  assert.equal(await conn.readLine(100), 'a STARTTLS')
  conn.write('a OK\r\n')
  await conn.startTls()
}

test('secures a client that waits for the go-ahead', async (t) => {
  const { peer, conn, handshakes } = await connectClient(t)
  peer.send('a STARTTLS')
  const secured = answerStartTls(conn)
  await peer.expect('a OK')
  assert.equal(conn.secure, false)
  await Promise.all([secured, peer.startTls({ ca: authority.ca, servername: 'mail.example.test' })])
  assert.equal(conn.secure, true)
  assert.deepEqual(handshakes, ['ok'])
  peer.send('b NOOP')
  assert.equal(await conn.readLine(100), 'b NOOP')
  conn.close()
})

test('ends a client that sent more behind STARTTLS', async (t) => {
  const { peer, conn, handshakes } = await connectClient(t)
  peer.sendRaw('a STARTTLS\r\nb LOGIN mallory secret\r\n')
  await assert.rejects(answerStartTls(conn), { code: 'client-bytes-before-tls' })
  assert.equal(conn.secure, false)
  assert.deepEqual(handshakes, [])
  conn.close()
  await peer.expect('a OK')
  await peer.expectClose()
})

test('ends a client that sends commands in place of a handshake', async (t) => {
  const { peer, conn, handshakes } = await connectClient(t)
  peer.send('a STARTTLS')
  const secured = answerStartTls(conn)
  secured.catch(() => undefined)
  await peer.expect('a OK')
  peer.send('b LOGIN mallory secret')
  await assert.rejects(secured, (error) => error instanceof MuxError && error.code === 'client-tls-failed')
  assert.equal(conn.secure, false)
  assert.deepEqual(handshakes, ['failed'])
  conn.close()
})
