/** What a connection believes of the PROXY header in front of it: who may send one, whose the client is, and which ALPN it may name. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, test, type TestContext } from 'node:test'
import { ClientConnection } from '../../../src/client/connection.ts'
import type { ProtocolName } from '../../../src/config/settings.ts'
import { MuxError, type ErrorCode } from '../../../src/errors.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import { buildProxyHeader, type ProxyHeaderFacts } from '../../../src/net/proxy-header.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

const SOURCE = { address: '2001:db8::7', port: 40_000 }
const DESTINATION = { address: '2001:db8::1', port: 143 }

/** A connection over loopback whose client sends `bytes` and stays. */
async function arrive(t: TestContext, bytes: Buffer, { protocol = 'imap', trusted = ['127.0.0.0/8'] } = {}) {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = (await once(server, 'connection')) as [Socket]
  const context = {
    settings: listenerSettings({ protocol: protocol as ProtocolName }),
    banner: () => '',
    tls: undefined,
    trustedProxies: createIpSet(trusted),
    passthrough: new Map(),
  }
  const conn = new ClientConnection(socket, context, () => undefined)
  t.after(() => {
    conn.close()
    client.destroy()
    server.close()
  })
  client.on('error', () => undefined)
  client.write(bytes)
  return conn
}

const header = (facts: Partial<Exclude<ProxyHeaderFacts, { local: true }>> = {}): Buffer =>
  buildProxyHeader({ version: 2, source: SOURCE, destination: DESTINATION, ...facts })

const isRefused = (code: ErrorCode, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof MuxError)
  assert.equal(error.code, code)
  assert.match(error.message, words)
  return true
}

describe('a PROXY header', () => {
  test("gives both ends of the connection, and what follows it is the client's", async (t) => {
    const conn = await arrive(t, Buffer.concat([header({ authority: 'Mail.Example.Test' }), Buffer.from('a NOOP\r\n')]))
    await conn.learnOrigin()
    assert.deepEqual([conn.client, conn.local], [SOURCE, DESTINATION])
    assert.deepEqual([conn.hasProxyHeader, conn.isHealthCheck, conn.secure], [true, false, false])
    assert.equal(conn.serverName, 'mail.example.test')
    assert.equal(await conn.readBytes(6), 'a NOOP')
  })

  test('is refused of a sender that is not trusted, without a look at it', async (t) => {
    const conn = await arrive(t, header(), { trusted: ['192.0.2.0/24', '::/0'] })
    await assert.rejects(conn.learnOrigin(), isRefused('client-not-trusted', /trusted_proxies/))
    assert.equal(conn.client.address, '127.0.0.1')
  })

  for (const [protocol, own, other] of [
    ['imap', 'imap', 'pop3'],
    ['pop3', 'pop3', 'imap'],
  ] as const) {
    test(`may name the ALPN of ${protocol} and no other protocol's`, async (t) => {
      await (await arrive(t, header({ alpn: own }), { protocol })).learnOrigin()
      await (await arrive(t, header(), { protocol })).learnOrigin()
      for (const alpn of [other, 'http/1.1', 'h2', `${own}s`]) {
        const conn = await arrive(t, header({ alpn }), { protocol })
        await assert.rejects(conn.learnOrigin(), isRefused('client-proxy-header', new RegExp(`ALPN "${alpn}"`)))
      }
    })
  }

  test('of a load balancer for itself leaves the connection as it is', async (t) => {
    const conn = await arrive(t, buildProxyHeader({ version: 2, local: true }))
    const before = conn.client
    await conn.learnOrigin()
    assert.deepEqual([conn.isHealthCheck, conn.hasProxyHeader, conn.client], [true, false, before])
  })

  test('of an unknown client is no health check, and names no client', async (t) => {
    const conn = await arrive(t, Buffer.from('PROXY UNKNOWN\r\n'))
    await conn.learnOrigin()
    assert.deepEqual([conn.isHealthCheck, conn.hasProxyHeader, conn.client.address], [false, false, '127.0.0.1'])
  })

  test('makes the connection private where the proxy ended TLS, and only there', async (t) => {
    const ssl = { clientTls: true, verified: false, version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' }
    const conn = await arrive(t, header({ ssl }))
    await conn.learnOrigin()
    assert.deepEqual([conn.secure, conn.tlsVersion, conn.cipher], [true, 'TLSv1.3', 'TLS_AES_128_GCM_SHA256'])
    const clear = await arrive(t, header({ ssl: { ...ssl, clientTls: false } }))
    await clear.learnOrigin()
    assert.equal(clear.secure, false)
  })

  test('that cannot be read is refused', async (t) => {
    const conn = await arrive(t, Buffer.from('a LOGIN alice secret\r\n'))
    await assert.rejects(conn.learnOrigin(), isRefused('client-proxy-header', /no PROXY header/))
  })
})
