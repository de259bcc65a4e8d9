import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect as connectTls, type ConnectionOptions, type PeerCertificate } from 'node:tls'
import type { CertificateSettings, ListenerSettings, Settings } from '../../../src/config/settings.ts'
import { Secret } from '../../../src/secret.ts'
import { buildCertificates, type ServerTls } from '../../../src/tls/certificates.ts'
import { acceptTls } from '../../../src/tls/upgrade.ts'
import { makeAuthority, type Authority, type Leaf } from '../../support/certificates.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

const LEAVES: Record<string, string[]> = {
  first: ['DNS:mail.example.test', 'IP:127.0.0.1'],
  exact: ['DNS:imap.example.org', 'DNS:pop.example.org'],
  wildcard: ['DNS:*.example.org'],
  late: ['DNS:imap.example.org', 'DNS:mail.example.test', 'DNS:late.example.test'],
}

/** Of the same names as those above, but for the last, with keys of the other kind. */
const RSA_LEAVES: Record<string, string[]> = {
  'first-rsa': LEAVES['first']!,
  'wildcard-rsa': LEAVES['wildcard']!,
  'wide-rsa': ['DNS:mail.example.test', 'DNS:wide.example.test'],
  'other-rsa': ['DNS:other.example.net'],
}

let directory: string
let authority: Authority
let leaves: Record<string, CertificateSettings>

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailmux-tls-'))
  authority = await makeAuthority(directory)
  leaves = {}
  for (const [name, names] of Object.entries(LEAVES)) leaves[name] = toSettings(await authority.issue(name, { names }))
  for (const [name, names] of Object.entries(RSA_LEAVES))
    leaves[name] = toSettings(await authority.issue(name, { names, key: 'rsa' }))
})

after(() => rm(directory, { recursive: true }))

function toSettings({ certFile, cert, keyFile, key }: Leaf): CertificateSettings {
  return { certFile, cert, keyFile, key: new Secret(key) }
}

/** What a listener with these certificates needs for a handshake. */
function optionsOf(names: string[], listener: Partial<ListenerSettings> = {}): ServerTls {
  const settings = listenerSettings({ tls: 'implicit', ...listener })
  const options = buildCertificates(tlsOf(names), [settings], 'secret', Date.now()).serverOptions.get(settings.name)
  assert.ok(options)
  return options
}

function tlsOf(names: string[]): Settings['tls'] {
  return { certificates: names.map((name) => leaves[name]!), minVersion: 'TLSv1.2', ticketSecret: undefined }
}

/** Shakes hands once, as listeners do. @returns the common name of the certificate that a client sees, and the server's error if any */
async function shakeHands(
  { contextFor, ...server }: ServerTls,
  options: ConnectionOptions,
): Promise<{
  shown: string | undefined
  failure: string | undefined
  session: Buffer | undefined
  isResumed: boolean
}> {
  const listening = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const socket = connect((listening.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(listening, 'connection')) as [Socket]
  let [shown, session, isResumed]: [string | undefined, Buffer | undefined, boolean] = [undefined, undefined, false]
  const client = connectTls({ socket, rejectUnauthorized: false, ...options })
  client.on('error', () => undefined)
  client.on('secureConnect', () => {
    // Without a subject where a session is resumed by TLS 1.2, which sends no certificate.
    const { subject } = client.getPeerCertificate() as Partial<PeerCertificate>
    shown = String(subject?.CN)
    session = client.getSession()
    isResumed = client.isSessionReused()
  })
  const seen = Promise.race([once(client, 'secureConnect'), once(client, 'close')]).catch(() => undefined)
  const chosen = contextFor?.(options.servername)
  const failure = await acceptTls(accepted, { ...server, ...(chosen && { secureContext: chosen }) }).then(
    () => undefined,
    (error: unknown) => String(error),
  )
  await seen
  client.destroy()
  accepted.destroy()
  listening.close()
  return { shown, failure, session, isResumed }
}

/** Which certificate a client sees, by the name that it asks for; `first` is the default. */
const SHOWN: Record<string, { asked: string | undefined; shown: string }> = {
  'the exact one for a name of its own': { asked: 'imap.example.org', shown: 'exact' },
  'the exact one for another name of its own': { asked: 'pop.example.org', shown: 'exact' },
  'the exact one in any case of letters': { asked: 'IMAP.Example.ORG', shown: 'exact' },
  'the wildcard for one label more': { asked: 'smtp.example.org', shown: 'wildcard' },
  'the first, not the wildcard, for two labels more': { asked: 'a.b.example.org', shown: 'first' },
  'the first, not the wildcard, for the bare domain': { asked: 'example.org', shown: 'first' },
  'the exact one for a name with a dot at its end': { asked: 'imap.example.org.', shown: 'exact' },
  'the wildcard for a name with a dot at its end': { asked: 'smtp.example.org.', shown: 'wildcard' },
  'the first for a name that nobody has': { asked: 'unknown.test', shown: 'first' },
  'the first for a name without a dot': { asked: 'localhost', shown: 'first' },
  'the first to a client that asks for no name': { asked: undefined, shown: 'first' },
  'the first of two that have the name': { asked: 'mail.example.test', shown: 'first' },
  'a later one for a name that it alone has': { asked: 'late.example.test', shown: 'late' },
}

for (const [what, { asked, shown }] of Object.entries(SHOWN))
  test(`shows ${what}`, async () => {
    const built = optionsOf(['first', 'wildcard', 'exact', 'late'])
    const seen = await shakeHands(built, asked === undefined ? {} : { servername: asked })
    assert.deepEqual([seen.shown, seen.failure], [shown, undefined])
  })

/** Clients that verify one kind of signature alone, by version. */
const KINDS: Record<string, ConnectionOptions> = {
  'TLSv1.3 ec': { minVersion: 'TLSv1.3', sigalgs: 'ecdsa_secp256r1_sha256' },
  'TLSv1.3 rsa': { minVersion: 'TLSv1.3', sigalgs: 'rsa_pss_rsae_sha256' },
  'TLSv1.2 ec': { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
  'TLSv1.2 rsa': { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
}

/** By configured certificates and the name that is asked for: what clients of either kind see. */
const OF_BOTH_KINDS: [
  what: string,
  names: string[],
  asked: string | undefined,
  ec: string | undefined,
  rsa: string | undefined,
][] = [
  ['the only pair', ['first', 'first-rsa'], 'mail.example.test', 'first', 'first-rsa'],
  ['the only pair, RSA first', ['first-rsa', 'first'], 'mail.example.test', 'first', 'first-rsa'],
  [
    'the first pair, to a client that asks for no name',
    ['first', 'exact', 'first-rsa'],
    undefined,
    'first',
    'first-rsa',
  ],
  ['the first pair, for a name of nobody', ['first-rsa', 'exact', 'first'], 'unknown.test', 'first', 'first-rsa'],
  [
    'a later pair by its wildcard',
    ['first', 'wildcard', 'wildcard-rsa'],
    'smtp.example.org',
    'wildcard',
    'wildcard-rsa',
  ],
  ['the pair of a name that the certificates share', ['first', 'wide-rsa'], 'mail.example.test', 'first', 'wide-rsa'],
  ['the one certificate that carries the name', ['first', 'wide-rsa'], 'wide.example.test', undefined, 'wide-rsa'],
  ['the first of two of one kind', ['first', 'late', 'first-rsa'], 'mail.example.test', 'first', 'first-rsa'],
  ['no certificate of another name', ['first', 'other-rsa'], 'mail.example.test', 'first', undefined],
  ['no certificate of another name by default', ['first', 'other-rsa'], undefined, 'first', undefined],
]

for (const [what, names, asked, ec, rsa] of OF_BOTH_KINDS)
  test(`shows RSA and ECDSA certificates by what the client supports: ${what}`, async () => {
    for (const [client, options] of Object.entries(KINDS)) {
      const { shown } = await shakeHands(optionsOf(names), {
        ...options,
        ...(asked !== undefined && { servername: asked }),
      })
      assert.equal(shown, client.endsWith('ec') ? ec : rsa, client)
    }
  })

test('shows a single certificate whatever is asked for', async () => {
  for (const servername of ['mail.example.test', 'unknown.test'])
    assert.equal((await shakeHands(optionsOf(['first']), { servername })).shown, 'first')
})

test('shows certificates that a client who trusts the CA accepts', async () => {
  const built = optionsOf(['first', 'exact'])
  const trusting = { ca: authority.ca, rejectUnauthorized: true, servername: 'imap.example.org' }
  assert.equal((await shakeHands(built, trusting)).shown, 'exact')
})

test('shakes no hands below the lowest version', async () => {
  const built = optionsOf(['first'], { minVersion: 'TLSv1.3' })
  const { shown, failure } = await shakeHands(built, { maxVersion: 'TLSv1.2' })
  assert.equal(shown, undefined)
  assert.match(failure ?? '', /unsupported protocol|UNSUPPORTED_PROTOCOL/)
  assert.equal((await shakeHands(built, { minVersion: 'TLSv1.3' })).shown, 'first')
})

// RFC 7301 3.2; a browser that is made to speak to a mail server (ALPACA) names its own protocol
test('shakes no hands with a client of another protocol, and does with one that names ours or none', async () => {
  const built = optionsOf(['first'])
  assert.equal((await shakeHands(built, { ALPNProtocols: ['http/1.1'] })).shown, undefined)
  assert.equal((await shakeHands(built, { ALPNProtocols: ['imap'] })).shown, 'first')
  assert.equal((await shakeHands(built, {})).shown, 'first')
})

test('has something to show only for listeners that open TLS', () => {
  const settings = (['none', 'starttls', 'implicit', 'passthrough'] as const).map((tls) =>
    listenerSettings({ name: tls, tls }),
  )
  const { serverOptions } = buildCertificates(tlsOf(['first']), settings, 'secret', Date.now())
  assert.deepEqual([...serverOptions.keys()], ['starttls', 'implicit'])
})

test('lists when each certificate expires', () => {
  const { expiries } = buildCertificates(tlsOf(['first', 'exact']), [], 'secret', Date.now())
  assert.deepEqual(
    expiries.map(({ file }) => file),
    [leaves['first']!.certFile, leaves['exact']!.certFile],
  )
  const days = expiries.map(({ notAfterMs }) => Math.round((notAfterMs - Date.now()) / 86_400_000))
  assert.deepEqual(days, [30, 30])
})

test('the ticket keys are those of one day, in either direction of a step of the clock', () => {
  const day = 86_400_000
  const { areKeysOf } = buildCertificates(tlsOf(['first']), [], 'secret', 100 * day + 1000)
  assert.deepEqual(
    [100 * day, 100 * day + 1000, 101 * day - 1, 101 * day, 100 * day - 1, 400 * day, 0].map(areKeysOf),
    [true, true, true, false, false, false, false],
  )
})

/** Shakes hands at one listener, then at another with what the first has given to resume. */
async function resume(first: ServerTls, second: ServerTls): Promise<boolean> {
  const client = { servername: 'mail.example.test', maxVersion: 'TLSv1.2' } as const
  const { session, isResumed } = await shakeHands(first, client)
  assert.equal(isResumed, false)
  return (await shakeHands(second, { ...client, ...(session && { session }) })).isResumed
}

// RFC 5077; each worker and each instance with the same secret builds the options by itself
test('resumes a session of another process of the same listener, and of no other listener', async () => {
  const build = (listener: Partial<ListenerSettings> = {}): ServerTls => optionsOf(['first'], listener)
  assert.equal(await resume(build(), build()), true)
  for (const other of [
    { name: 'other' },
    { protocol: 'pop3' },
    { minVersion: 'TLSv1.2', ciphers: 'ECDHE+AESGCM' },
  ] as const)
    assert.equal(await resume(build(), build(other)), false, JSON.stringify(other))
})

test('asks for a client certificate where the listener has a CA, requires it unless it names a user, and resumes nothing', async () => {
  const clientUser = '%{cn}'
  for (const [listener, requestCert, rejectUnauthorized] of [
    [{}, false, false],
    [{ clientCa: authority.ca }, true, true],
    [{ clientCa: authority.ca, clientUser }, true, false],
  ] as const) {
    const options = optionsOf(['first'], listener)
    assert.deepEqual([options.requestCert, options.rejectUnauthorized], [requestCert, rejectUnauthorized])
  }
  const named = { clientCa: authority.ca, clientUser }
  assert.equal(await resume(optionsOf(['first'], named), optionsOf(['first'], named)), false)
  const { failure } = await shakeHands(optionsOf(['first'], { clientCa: authority.ca }), { maxVersion: 'TLSv1.2' })
  assert.match(failure ?? '', /certificate/u)
})
