/** TLS of a client's connection: the name in the ClientHello, the certificate of either side, and the facts that are kept of it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { ListenerSettings } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import { buildProxyHeader } from '../../../src/net/proxy-header.ts'
import { Secret } from '../../../src/secret.ts'
import { buildCertificates, type ServerTls } from '../../../src/tls/certificates.ts'
import { makeAuthority, type Authority, type Leaf } from '../../support/certificates.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'
import { listenerSettings } from '../listener/listener-settings.ts'
import { captureNode } from '../tls/client-hello-capture.ts'
import { arrive, type Arrival } from './fixture.ts'

let directory: string
let authority: Authority
let stranger: Authority
/** of the server, by the name that it carries; the first is for every other name */
let first: Leaf
let second: Leaf
let alice: Leaf
let hello: Buffer

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailmux-client-tls-'))
  await mkdir(join(directory, 'stranger'))
  authority = await makeAuthority(directory)
  stranger = await makeAuthority(join(directory, 'stranger'))
  first = await authority.issue('first', { names: ['DNS:first.test'] })
  second = await authority.issue('second', { names: ['DNS:second.test'] })
  alice = await authority.issue('alice', { usage: 'clientAuth' })
  hello = await captureNode({ servername: 'Second.test' })
})

after(() => rm(directory, { recursive: true }))

const soon = <T>(promise: Promise<T>, what: string): Promise<T> => within(READ_DEADLINE_MS, promise, () => what)

function tlsOf(listener: ListenerSettings, leaves: readonly Leaf[]): ServerTls | undefined {
  const certificates = leaves.map((leaf) => ({ ...leaf, key: new Secret(leaf.key) }))
  const tls = { certificates, minVersion: 'TLSv1.2', ticketSecret: undefined } as const
  return buildCertificates({ ...tls, certificates }, [listener], 'secret', Date.now()).serverOptions.get(listener.name)
}

/** A client at a listener with these settings; it has sent nothing yet. */
function open(t: TestContext, changes: Partial<ListenerSettings> = {}, leaves = [first]): Promise<Arrival> {
  const settings = { tls: 'implicit', ...changes } as const
  return arrive(t, { settings, tls: tlsOf(listenerSettings(settings), leaves) })
}

function startClient({ client }: Arrival, options: ConnectionOptions): TLSSocket {
  const secured = connectTls({ socket: client, ca: authority.ca, checkServerIdentity: () => undefined, ...options })
  secured.on('error', () => undefined)
  return secured
}

/** Both sides of a handshake that succeeds. */
async function secure(arrival: Arrival, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const client = startClient(arrival, options)
  await soon(Promise.all([once(client, 'secureConnect'), arrival.conn.startImplicitTls()]), 'no handshake')
  return client
}

/** A listener whose TLS says when it has read a ClientHello, and with which name. */
async function openWithNames(t: TestContext) {
  const { promise: asked, resolve } = Promise.withResolvers<string | undefined>()
  const names: (string | undefined)[] = []
  const contextFor: ServerTls['contextFor'] = (name) => {
    names.push(name)
    resolve(name)
    return undefined
  }
  const settings = { tls: 'implicit' } as const
  const tls = { ...tlsOf(listenerSettings(settings), [first]), contextFor }
  return { ...(await arrive(t, { settings, tls })), asked, names }
}

describe('a client is shown the certificate', () => {
  for (const [servername, subject, known] of [
    ['second.test', 'CN=second', 'second.test'],
    ['FIRST.test', 'CN=first', 'first.test'],
    ['other.test', 'CN=first', 'other.test'],
    ['', 'CN=first', undefined],
  ] as const) {
    test(`of ${subject} where it asks for ${servername === '' ? 'no name' : servername}`, async (t) => {
      const arrival = await open(t, {}, [first, second])
      const client = await secure(arrival, { servername })
      assert.equal(client.getPeerX509Certificate()?.subject, subject)
      assert.equal(arrival.conn.serverName, known)
    })
  }
})

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`reports ${version} and its cipher, and reads lines from it`, async (t) => {
    const arrival = await open(t)
    const { conn, handshakes } = arrival
    assert.deepEqual(conn.describeTls(), { version: undefined, cipher: undefined, certificate: undefined })
    const client = await secure(arrival, { minVersion: version, maxVersion: version })
    const { name: cipher } = client.getCipher()
    assert.deepEqual([conn.secure, conn.tlsVersion, conn.cipher], [true, version, cipher])
    assert.deepEqual(conn.describeTls(), { version, cipher, certificate: undefined })
    assert.deepEqual(handshakes, [[version, false, 'ok']])
    client.write('a NOOP\r\n')
    assert.equal(await conn.readLine(100), 'a NOOP')
    const line = conn.readLine(100)
    client.end()
    await assert.rejects(soon(line, 'no end'), { code: 'client-closed' })
  })

  test(`reports the resumption of a ${version} session`, async (t) => {
    const versions = { minVersion: version, maxVersion: version }
    const arrival = await open(t)
    const client = startClient(arrival, versions)
    const session = once(client, 'session') as Promise<[Buffer]>
    await soon(arrival.conn.startImplicitTls(), 'no handshake')
    const again = await open(t)
    await secure(again, { ...versions, session: (await soon(session, 'no session'))[0] })
    assert.deepEqual(again.handshakes, [[version, true, 'ok']])
  })

  describe(`a listener that requires a certificate, over ${version}`, () => {
    const versions = { minVersion: version, maxVersion: version }

    test('takes one of its CA, for no user', async (t) => {
      const arrival = await open(t, { clientCa: authority.ca })
      await secure(arrival, { ...versions, cert: alice.cert, key: alice.key })
      assert.equal(arrival.conn.certifiedUser, undefined)
      const { certificate } = arrival.conn.describeTls()
      assert.equal(certificate?.shown?.subject, 'CN=alice')
      assert.equal(certificate.problem, undefined)
    })

    test('refuses a client that shows none, and one of another CA', async (t) => {
      const foreign = await stranger.issue('alice', { usage: 'clientAuth' })
      for (const shown of [{}, { cert: foreign.cert, key: foreign.key }]) {
        const arrival = await open(t, { clientCa: authority.ca })
        startClient(arrival, { ...versions, ...shown })
        await assert.rejects(soon(arrival.conn.startImplicitTls(), 'no handshake'), (error: unknown) => {
          assert.ok(error instanceof MuxError)
          assert.equal(error.code, 'client-tls-failed')
          assert.match(error.message, /^TLS handshake failed: \S/)
          return true
        })
        assert.deepEqual(arrival.handshakes, [['none', false, 'failed']])
        assert.equal(arrival.conn.secure, false)
      }
    })
  })
}

test('says why a certificate that is asked for is not trusted', async (t) => {
  const settings = { clientCa: authority.ca, clientUser: '%{cn}' }
  const without = await open(t, settings)
  await secure(without)
  assert.deepEqual(without.conn.describeTls().certificate, { shown: undefined, problem: 'no certificate was shown' })
  const foreign = await stranger.issue('mallory', { usage: 'clientAuth' })
  const other = await open(t, settings)
  await secure(other, { cert: foreign.cert, key: foreign.key })
  const { certificate } = other.conn.describeTls()
  assert.equal(certificate?.shown?.subject, 'CN=mallory')
  assert.match(certificate.problem ?? '', /certificate/)
  assert.equal(other.conn.certifiedUser, undefined)
})

test('has the user of a trusted certificate, and none where the certificate lacks what the rule asks for', async (t) => {
  for (const [clientUser, user] of [
    ['%{cn}', 'alice'],
    ['%{email}', undefined],
  ] as const) {
    const arrival = await open(t, { clientCa: authority.ca, clientUser })
    await secure(arrival, { cert: alice.cert, key: alice.key })
    assert.equal(arrival.conn.certifiedUser, user)
  }
})

test('describes the TLS that ended at a proxy by its version alone', async (t) => {
  const { client, conn } = await arrive(t)
  const ssl = { clientTls: true, verified: false, version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' }
  const ends = { source: { address: '192.0.2.7', port: 1 }, destination: { address: '192.0.2.1', port: 143 } }
  client.write(buildProxyHeader({ version: 2, ...ends, ssl }))
  await conn.learnOrigin()
  assert.deepEqual(conn.describeTls(), { version: 'TLSv1.3', cipher: undefined, certificate: undefined })
})

describe('the name in a ClientHello', () => {
  test('is read without a byte of it', async (t) => {
    const { client, conn } = await arrive(t)
    client.write(hello)
    assert.equal(await soon(conn.peekServerName(), 'no name'), 'second.test')
    assert.equal(conn.serverName, 'second.test')
    assert.deepEqual(conn.detach(), hello)
  })

  test('cannot be read from a client that does not speak TLS', async (t) => {
    const { client, conn } = await arrive(t)
    client.write('a LOGIN alice secret\r\n')
    await assert.rejects(soon(conn.peekServerName(), 'no answer'), (error: unknown) => {
      assert.ok(error instanceof MuxError)
      assert.equal(error.code, 'client-tls-failed')
      assert.notEqual(error.message, '')
      return true
    })
  })

  test('cannot be read from a client that leaves in the middle of it', async (t) => {
    const { client, conn } = await arrive(t)
    client.end(hello.subarray(0, 50))
    await assert.rejects(soon(conn.peekServerName(), 'no answer'), { code: 'client-closed' })
  })
})

describe('a handshake', () => {
  test('is not counted for a client that leaves before its first byte', async (t) => {
    const { client, conn, handshakes } = await open(t)
    const secured = conn.startImplicitTls()
    client.end()
    await assert.rejects(soon(secured, 'no end'), { code: 'client-closed' })
    assert.deepEqual(handshakes, [])
  })

  test('fails for a client that leaves in the middle of its ClientHello', async (t) => {
    const { client, conn, handshakes, names } = await openWithNames(t)
    client.end(hello.subarray(0, 50))
    await assert.rejects(soon(conn.startImplicitTls(), 'no end'), { code: 'client-tls-failed' })
    assert.deepEqual(handshakes, [['none', false, 'failed']])
    assert.deepEqual(names, [])
  })

  for (const [what, bytes, alert] of [
    ['commands', 'a LOGIN alice secret\r\n', false],
    ['another message of TLS', Buffer.of(22, 3, 1, 0, 4, 2, 0, 0, 0), true],
  ] as const) {
    test(`fails for a client that sends ${what} in place of a ClientHello, ${alert ? 'with' : 'without'} an alert`, async (t) => {
      const { client, conn, handshakes, names } = await openWithNames(t)
      const received: Buffer[] = []
      client.on('data', (chunk: Buffer) => received.push(chunk))
      const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
      client.write(bytes)
      await assert.rejects(soon(conn.startImplicitTls(), 'no end'), { code: 'client-tls-failed' })
      await soon(closed, 'no close')
      // RFC 8446 5.1: the content type of an alert
      assert.deepEqual(received[0]?.[0], alert ? 21 : undefined)
      assert.deepEqual(handshakes, [['none', false, 'failed']])
      assert.deepEqual(names, [undefined])
    })
  }

  test('ends with the first reason for which the login fails meanwhile', async (t) => {
    const { client, conn, asked, handshakes } = await openWithNames(t)
    const secured = conn.startImplicitTls()
    client.write(hello) // the server answers, and waits for more
    assert.equal(await soon(asked, 'no name'), 'second.test')
    const reason = new MuxError('client-login-timeout', 'too late')
    conn.fail(reason)
    conn.fail(new MuxError('shutting-down', 'later still'))
    await assert.rejects(soon(secured, 'no end'), (error) => error === reason)
    assert.deepEqual(handshakes, [['none', false, 'failed']])
    assert.equal(conn.isGone, true)
  })

  test('ends with the reason for which the login fails before it begins', async (t) => {
    const { conn, handshakes } = await open(t)
    const secured = conn.startImplicitTls()
    const reason = new MuxError('client-login-timeout', 'too late')
    conn.fail(reason)
    await assert.rejects(soon(secured, 'no end'), (error) => error === reason)
    assert.deepEqual(handshakes, [])
  })
})

test('reports a client that leaves after STARTTLS in place of a handshake as closed', async (t) => {
  const { client, conn, handshakes } = await open(t, { tls: 'starttls' })
  client.write('a STARTTLS\r\n')
  assert.equal(await conn.readLine(100), 'a STARTTLS')
  const secured = conn.startTls()
  client.end()
  await assert.rejects(soon(secured, 'no end'), { code: 'client-closed' })
  assert.deepEqual(handshakes, [])
})
