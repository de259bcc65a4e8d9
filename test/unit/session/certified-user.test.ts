/** The user that a client certificate speaks for: real certificates, and a real handshake to show them in. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { ListenerSettings } from '../../../src/config/settings.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import type { LoginAttempt } from '../../../src/protocol/protocol.ts'
import { identifyUser } from '../../../src/routing/identity.ts'
import { Secret } from '../../../src/secret.ts'
import { ClientConnection } from '../../../src/client/connection.ts'
import { describeLogin } from '../../../src/login/login-facts.ts'
import { LoginRecord, type LoginSession } from '../../../src/login/login.ts'
import { buildCertificates } from '../../../src/tls/certificates.ts'
import { userOfCertificate } from '../../../src/tls/client-certificate.ts'
import { PLAIN_RULES } from '../../../src/user-name.ts'
import { makeAuthority, type Authority, type Leaf } from '../../support/certificates.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

const MAIL = 'email:alice@example.org'

let directory: string
let authority: Authority
let stranger: Authority
let server: Leaf

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailmux-certified-'))
  // Names with a slash become several names in a subject, and a path of that shape.
  for (const below of ['alice', 'stranger']) await mkdir(join(directory, below))
  authority = await makeAuthority(directory)
  stranger = await makeAuthority(join(directory, 'stranger'))
  server = await authority.issue('mail')
})

after(() => rm(directory, { recursive: true }))

async function certificate(name: string, names: string[] = ['DNS:unused.test']): Promise<X509Certificate> {
  return new X509Certificate((await authority.issue(name, { names, usage: 'clientAuth' })).cert)
}

test('fills the common name in', async () => {
  const shown = await certificate('alice')
  assert.equal(userOfCertificate('%{cn}', shown), 'alice')
  assert.equal(userOfCertificate('%{cn}@example.org', shown), 'alice@example.org')
  assert.equal(userOfCertificate('x-%{cn}-%{cn}', shown), 'x-alice-alice')
})

test('fills the e-mail address in', async () => {
  const shown = await certificate('a1', ['DNS:unused.test', MAIL])
  assert.equal(userOfCertificate('%{email}', shown), 'alice@example.org')
  assert.equal(userOfCertificate('%{cn}/%{email}', shown), 'a1/alice@example.org')
})

test('has no user in a certificate without an e-mail address', async () => {
  const shown = await certificate('alice@example.org')
  assert.equal(userOfCertificate('%{email}', shown), undefined)
  assert.equal(userOfCertificate('%{cn}%{email}', shown), undefined)
})

// CVE-2019-3814: a certificate without a name matches no user
test('has no user in a certificate without a common name', async () => {
  const shown = await certificate('', [MAIL])
  assert.equal(userOfCertificate('%{cn}', shown), undefined)
  assert.equal(userOfCertificate('%{cn}@example.org', shown), undefined)
  assert.equal(userOfCertificate('%{email}', shown), 'alice@example.org')
})

test('has no user in a certificate with several common names', async () => {
  const shown = await certificate('alice/CN=bob', [MAIL])
  assert.match(shown.subject, /CN=alice\nCN=bob/)
  assert.equal(userOfCertificate('%{cn}', shown), undefined)
  assert.equal(userOfCertificate('%{email}', shown), 'alice@example.org')
})

// X.501 9.3: one relative name may hold several values, which Node's text of the subject puts on one line
for (const [name, what] of [
  ['alice+CN=bob', 'in one relative name'],
  ['alice/O=y+CN=bob', 'of which the second shares its relative name'],
] as const)
  test(`has no user in a certificate with several common names ${what}`, async () => {
    assert.equal(userOfCertificate('%{cn}', await certificate(name)), undefined)
  })

test('fills in a common name that shares its relative name with other values', async () => {
  assert.equal(userOfCertificate('%{cn}', await certificate('alice+O=y')), 'alice')
})

// RFC 9598 3: the e-mail address in UTF-8 is an otherName
test('has no user in a certificate with an e-mail address in each of the two forms', async () => {
  const shown = await certificate('a3', [MAIL, 'otherName:1.3.6.1.5.5.7.8.9;UTF8:bob@example.org'])
  assert.equal(userOfCertificate('%{email}', shown), undefined)
})

test('has no user in a certificate with several e-mail addresses', async () => {
  const shown = await certificate('a2', [MAIL, 'email:bob@example.org'])
  assert.equal(userOfCertificate('%{email}', shown), undefined)
  assert.equal(userOfCertificate('%{cn}', shown), 'a2')
})

test('takes neither a DNS name nor text in another field for an e-mail address or a common name', async () => {
  const shown = await certificate('alice/O=CN=bob', ['DNS:alice.example.org', 'URI:email:bob@example.org'])
  assert.equal(userOfCertificate('%{email}', shown), undefined)
  assert.equal(userOfCertificate('%{cn}', shown), 'alice')
})

for (const name of ['ali"ce', 'ali,ce', 'ali\\\\ce'])
  test(`has no user in a common name that could be read in two ways: ${name}`, async () => {
    assert.equal(userOfCertificate('%{cn}', await certificate(name)), undefined)
  })

test('puts no text of the certificate’s in place of what the template says', async () => {
  const shown = await certificate('%{email}$&', [MAIL])
  assert.equal(userOfCertificate('%{cn}', shown), '%{email}$&')
})

/** A handshake with a listener that asks for certificates of `authority`. */
async function shakeHands(
  t: TestContext,
  listener: Partial<ListenerSettings>,
  shown?: Leaf,
): Promise<ClientConnection> {
  const settings = listenerSettings({ tls: 'implicit', clientCa: authority.ca, clientUser: '%{cn}', ...listener })
  const certificates = [{ ...server, key: new Secret(server.key) }]
  const tls = { certificates, minVersion: 'TLSv1.2', ticketSecret: undefined } as const
  const context = {
    settings,
    banner: () => '',
    tls: buildCertificates({ ...tls, certificates }, [settings], 'secret', Date.now()).serverOptions.get(settings.name),
    trustedProxies: createIpSet([]),
    passthrough: new Map<string, string>(),
  }
  const listening = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const client = connectTls({
    socket: connect((listening.address() as AddressInfo).port, '127.0.0.1'),
    ca: authority.ca,
    servername: 'mail.example.test',
    ...(shown && { cert: shown.cert, key: shown.key }),
  })
  client.on('error', () => undefined)
  const [accepted] = (await once(listening, 'connection')) as [Socket]
  listening.close()
  const conn = new ClientConnection(accepted, context, () => undefined)
  t.after(() => {
    client.destroy()
    accepted.destroy()
  })
  await within(READ_DEADLINE_MS, conn.startImplicitTls(), () => 'no handshake')
  return conn
}

/** @returns whom the session takes the client for */
async function certifiedUser(...handshake: Parameters<typeof shakeHands>): Promise<string | undefined> {
  return (await shakeHands(...handshake)).certifiedUser
}

test('certifies the user that the client certificate names', async (t) => {
  assert.equal(await certifiedUser(t, {}, await authority.issue('alice', { usage: 'clientAuth' })), 'alice')
})

test('a client without a certificate has no certified user, and may log in by other means', async (t) => {
  assert.equal(await certifiedUser(t, {}), undefined)
})

test('certifies no user with a certificate of another CA', async (t) => {
  assert.equal(await certifiedUser(t, {}, await stranger.issue('alice', { usage: 'clientAuth' })), undefined)
})

test('certifies no user with an expired certificate', async (t) => {
  assert.equal(await certifiedUser(t, {}, await authority.issue('late', { usage: 'clientAuth', days: -1 })), undefined)
})

test('certifies no user with a server’s certificate', async (t) => {
  assert.equal(await certifiedUser(t, {}, server), undefined)
})

test('certifies no user on a listener without a rule for names', async (t) => {
  const shown = await authority.issue('alice', { usage: 'clientAuth' })
  assert.equal(await certifiedUser(t, { clientUser: undefined }, shown), undefined)
})

test('certifies no user if the certificate lacks a name of the rule', async (t) => {
  const shown = await authority.issue('alice', { usage: 'clientAuth' })
  assert.equal(await certifiedUser(t, { clientUser: '%{email}' }, shown), undefined)
})

/** The name that routes are kept under, of a client that shows a certificate with this common name. */
async function routedAs(t: TestContext, name: string): Promise<string | undefined> {
  const { certifiedUser } = await shakeHands(t, {}, await authority.issue(name, { usage: 'clientAuth' }))
  return certifiedUser && identifyUser(certifiedUser, PLAIN_RULES)?.user
}

// written as octets, `š` (U+0161) would lose its high byte and become `a` (0x61)
for (const name of ['jürgen@example.test', 'šlice@example.test', '慬ice@example.test', '𝒶lice@example.test'])
  test(`takes a client for the user with the name ${name} and for no other`, async (t) => {
    assert.equal(await routedAs(t, name), name.normalize('NFC'))
  })

/** The TLS facts of this client that a directory gets. */
async function factsOfTls(...handshake: Parameters<typeof shakeHands>) {
  const connection = await shakeHands(...handshake)
  const attempt = { user: 'alice', credentials: { kind: 'certificate' } } as LoginAttempt
  const session: LoginSession = {
    id: 's',
    listener: connection.listener,
    connection,
    limits: undefined,
    phase: 'routing',
    stillTrying: () => undefined,
    onEnding: () => () => undefined,
    releaseLease: () => undefined,
  }
  return describeLogin({ session, record: new LoginRecord(1), attempt }).tls
}

test('sends a directory the TLS version, the cipher and the verified certificate', async (t) => {
  const tls = await factsOfTls(t, {}, await authority.issue('alice', { usage: 'clientAuth' }))
  assert.equal(tls?.version, 'TLSv1.3')
  assert.match(tls.cipher ?? '', /^TLS_/)
  assert.equal(tls.certificate?.shown?.subject, 'CN=alice')
  assert.equal(tls.certificate.problem, undefined)
})

test('sends a directory the problem of a certificate, and that there is none', async (t) => {
  const late = await factsOfTls(t, {}, await authority.issue('late', { usage: 'clientAuth', days: -1 }))
  assert.equal(late?.certificate?.problem, 'certificate has expired')
  const none = await factsOfTls(t, {})
  assert.ok(none?.certificate)
  assert.equal(none.certificate.shown, undefined)
  assert.notEqual(none.certificate.problem, undefined)
})

test('sends a directory no certificate facts if clients are not asked for a certificate', async (t) => {
  const tls = await factsOfTls(t, { clientCa: undefined, clientUser: undefined })
  assert.equal(tls?.version, 'TLSv1.3')
  assert.equal(tls.certificate, undefined)
})
