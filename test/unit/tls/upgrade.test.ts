/** A handshake on a connection that is already there, over loopback: it ends with whatever ends that. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect as connectTls, type TLSSocketOptions } from 'node:tls'
import { LineSocket } from '../../../src/net/line-socket.ts'
import { acceptTls } from '../../../src/tls/upgrade.ts'
import { makeAuthority } from '../../support/certificates.ts'

let directory: string
let options: TLSSocketOptions

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailmux-tls-'))
  const { cert, key } = await (await makeAuthority(directory)).issue('server')
  options = { cert, key }
})

after(() => rm(directory, { recursive: true }))

/** Both ends of a connection; the accepted one is as a listener has it. */
async function meet(): Promise<{ client: Socket; accepted: Socket; end: () => void }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => undefined)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  const end = (): void => {
    client.destroy()
    accepted.destroy()
    server.close()
  }
  return { client, accepted, end }
}

test('carries all that a client sends, of whatever length', async () => {
  const { client, accepted, end } = await meet()
  const accepting = acceptTls(accepted, options)
  const secured = connectTls({ socket: client, rejectUnauthorized: false })
  const sent = Buffer.from(Array.from({ length: 300_000 }, (_, n) => n % 251))
  secured.end(sent)
  const received: Buffer[] = []
  for await (const chunk of await accepting) received.push(chunk as Buffer)
  assert.ok(Buffer.concat(received).equals(sent))
  end()
})

const ENDS: Record<string, (sides: { client: Socket; accepted: Socket }) => void> = {
  'a client that leaves before its first byte': ({ client }) => client.end(),
  'a client that leaves after a few': ({ client }) => client.end('\x16\x03\x01', 'latin1'),
  'whoever destroys it while it waits': ({ accepted }) => accepted.destroy(),
}

for (const [who, act] of Object.entries(ENDS))
  test(`is ended by ${who}`, async () => {
    const { client, accepted, end } = await meet()
    const failure = assert.rejects(acceptTls(accepted, options), /connection closed during the handshake|ECONNRESET/)
    act({ client, accepted })
    await failure
    assert.ok(accepted.destroyed)
    end()
  })

test('is ended by a client that breaks off, before its first byte', async () => {
  const { client, accepted, end } = await meet()
  const failure = assert.rejects(acceptTls(accepted, options), { code: 'ECONNRESET' })
  client.resetAndDestroy()
  await failure
  assert.ok(accepted.destroyed)
  end()
})

test('is ended by a client whose end was read with its first bytes, before the handshake', async () => {
  const { client, accepted, end } = await meet()
  const lines = new LineSocket(accepted, 'client')
  client.end('\x16\x03\x01', 'latin1')
  await lines.peek((bytes) => bytes.length)
  await once(accepted, 'end')
  accepted.unshift(lines.detach())
  await assert.rejects(acceptTls(accepted, options))
  assert.ok(accepted.destroyed)
  end()
})

test('is ended by what is no TLS', async () => {
  const { client, accepted, end } = await meet()
  const failure = assert.rejects(acceptTls(accepted, options), { code: /^ERR_SSL_/ })
  client.write('a LOGIN eve secret\r\n')
  await failure
  assert.ok(accepted.destroyed)
  end()
})
