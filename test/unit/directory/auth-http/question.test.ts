/** The headers that nginx sends (src/mail/ngx_mail_auth_http_module.c), and none in which a client could hide one of its own. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { validateHeaderValue } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { asOctets } from '../../../../src/octets.ts'
import { buildQuestion, escapeOctets, findOversize } from '../../../../src/directory/auth-http/question.ts'
import { Secret } from '../../../../src/secret.ts'
import { facts, settings } from './fixture.ts'

test('sends the same request headers as nginx', () => {
  assert.deepEqual(buildQuestion('alice@example.test', facts({ attempt: 3 }), settings()), {
    'Auth-Method': 'plain',
    'Auth-User': 'alice@example.test',
    'Auth-Pass': 'secret',
    'Auth-Protocol': 'imap',
    'Auth-Login-Attempt': '3',
    'Client-IP': '192.0.2.42',
  })
})

test('sends the password only if configured', () => {
  const question = buildQuestion('alice', facts(), settings({ sendPassword: false }))
  assert.equal(question['Auth-Pass'], '')
  assert.ok(!JSON.stringify(question).includes('secret'))
})

test('names the authentication method, and sends no password if there is none', () => {
  const methods = [
    facts({ proof: { kind: 'password', password: undefined } }),
    facts({ proof: { kind: 'certificate' } }),
    facts({ proof: { kind: 'relayed', mechanism: 'XOAUTH2' } }),
    facts({ proof: { kind: 'relayed', mechanism: 'SCRAM-SHA-256' } }),
  ].map((login) => buildQuestion('alice', login, settings()))
  assert.deepEqual(
    methods.map((question) => [question['Auth-Method'], question['Auth-Pass']]),
    [
      ['plain', ''],
      ['external', ''],
      ['xoauth2', ''],
      ['scram-sha-256', ''],
    ],
  )
})

test('says where the client is and where it came to, once a PROXY header has said it', () => {
  const question = buildQuestion(
    'alice',
    facts({ protocol: 'pop3', proxied: { address: '198.51.100.1', port: 995 } }),
    settings(),
  )
  assert.deepEqual(Object.entries(question).slice(4), [
    ['Auth-Login-Attempt', '1'],
    ['Client-IP', '192.0.2.42'],
    ['Proxy-Protocol-Addr', '192.0.2.42'],
    ['Proxy-Protocol-Port', '50000'],
    ['Proxy-Protocol-Server-Addr', '198.51.100.1'],
    ['Proxy-Protocol-Server-Port', '995'],
  ])
})

test('sends the operator’s own headers besides', () => {
  const headers = new Map([['X-Auth-Key', new Secret('shared secret')]])
  assert.equal(buildQuestion('alice', facts(), settings({ headers }))['X-Auth-Key'], 'shared secret')
})

test('sends the TLS facts of the connection, and no others', () => {
  const ssl = (tls: NonNullable<Parameters<typeof facts>[0]>['tls']) =>
    Object.entries(buildQuestion('alice', facts({ tls }), settings())).filter(([name]) => name.startsWith('Auth-SSL'))
  assert.deepEqual(ssl(undefined), [])
  assert.deepEqual(ssl({ version: undefined, cipher: undefined, certificate: undefined }), [['Auth-SSL', 'on']])
  assert.deepEqual(
    ssl({ version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', certificate: { shown: undefined, problem: 'none' } }),
    [
      ['Auth-SSL', 'on'],
      ['Auth-SSL-Protocol', 'TLSv1.3'],
      ['Auth-SSL-Cipher', 'TLS_AES_256_GCM_SHA384'],
      ['Auth-SSL-Verify', 'NONE'],
    ],
  )
})

const directory = mkdtempSync(join(tmpdir(), 'mailmux-dn-'))
after(() => rmSync(directory, { recursive: true }))

/** A certificate of this subject, and what openssl prints of it. */
function certificate(subject: string): { shown: X509Certificate; print: (...args: string[]) => string } {
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const args = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-multivalue-rdn', '-utf8']
  execFileSync('openssl', ['req', '-x509', ...args, '-subj', subject, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  const print = (...asked: string[]) =>
    execFileSync('openssl', ['x509', '-in', cert, '-noout', ...asked], { encoding: 'utf8' })
      .replace(/\n$/, '')
      .replace(/^[^=]*=/, '')
  return { shown: new X509Certificate(readFileSync(cert)), print }
}

const SUBJECTS = [
  '/CN=alice',
  '/C=DE/O=Example, Inc./OU=a\\/b/CN=Alice "A" <alice>',
  '/O=Bücher/CN=Jürgen+UID=1',
  '/CN= leading and trailing /O=#hash/OU=semi;colon\\\\',
]
for (const subject of SUBJECTS)
  test(`names a certificate as openssl and nginx do: ${subject}`, () => {
    const { shown, print } = certificate(subject)
    const tls = { version: 'TLSv1.3', cipher: 'x', certificate: { shown, problem: undefined } }
    const question = buildQuestion('alice', facts({ tls }), settings())
    const wanted = {
      'Auth-SSL-Verify': 'SUCCESS',
      'Auth-SSL-Subject': print('-subject', '-nameopt', 'RFC2253'),
      'Auth-SSL-Issuer': print('-issuer', '-nameopt', 'RFC2253'),
      'Auth-SSL-Serial': print('-serial'),
      'Auth-SSL-Fingerprint': print('-fingerprint', '-sha1').replaceAll(':', '').toLowerCase(),
    }
    assert.deepEqual(Object.fromEntries(Object.entries(question).slice(-5)), wanted)
  })

test('sends the certificate if configured, and OpenSSL’s reason not to trust it', () => {
  const { shown } = certificate('/CN=alice')
  const tls = { version: 'TLSv1.3', cipher: 'x', certificate: { shown, problem: 'certificate has expired' } }
  const question = buildQuestion('alice', facts({ tls }), settings({ sendClientCertificate: true }))
  assert.equal(question['Auth-SSL-Verify'], 'FAILED:certificate has expired')
  assert.equal(decodeURIComponent(question['Auth-SSL-Cert'] ?? ''), shown.toString())
  assert.match(question['Auth-SSL-Cert'] ?? '', /^-----BEGIN%20CERTIFICATE-----%0A/)
})

test('escapes what nginx escapes, in upper case, and leaves the rest', () => {
  assert.equal(escapeOctets(asOctets('a b%c\r\nd\0\x7f+&=;"é')), 'a%20b%25c%0D%0Ad%00%7F+&=;"é')
})

/** Octets as they come from the wire. */
const octets = fc
  .array(fc.integer({ min: 0, max: 255 }), { maxLength: 200 })
  .map((codes) => String.fromCharCode(...codes))

test('loses nothing in escaping: a server that decodes has every octet again', () => {
  fc.assert(
    fc.property(octets, (text) => {
      const decoded = escapeOctets(asOctets(text)).replace(/%([0-9A-F]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      )
      assert.equal(decoded, text)
    }),
  )
})

// CVE-2022-27924, CVE-2026-28753: what a client says must not become a line of the request.
test('a line end in a name or password cannot end its header', () => {
  fc.assert(
    fc.property(octets, fc.string({ unit: 'binary', maxLength: 100 }), (password, user) => {
      const proof = { kind: 'password', password: new Secret(asOctets(password)) } as const
      for (const [name, value] of Object.entries(buildQuestion(user, facts({ proof }), settings()))) {
        assert.doesNotMatch(value, /[\x00-\x1f\x7f]/)
        validateHeaderValue(name, value)
      }
    }),
  )
})

test('sends a long password, and none that a usual server rejects for its size', () => {
  const ask = (password: string, over = {}) => {
    const proof = { kind: 'password', password: new Secret(asOctets(password)) } as const
    return findOversize(buildQuestion('alice', facts({ proof, ...over }), settings()), settings())
  }
  assert.equal(ask('x'.repeat(4096)), undefined)
  assert.equal(ask('%'.repeat(2600)), undefined)
  const line = 'auth-pass: \r\n'.length
  assert.equal(ask('x'.repeat(8000 - line)), undefined)
  assert.match(ask('x'.repeat(8001 - line)) ?? '', /^a header auth-pass of 8001 octets/)
  assert.match(ask('%'.repeat(3000)) ?? '', /^a header auth-pass of 9013 octets/)
})

test('counts a certificate and a password together, and no configured header', () => {
  const tls = {
    version: 'TLSv1.3',
    cipher: 'x',
    certificate: { shown: certificate('/CN=' + 'a'.repeat(64)).shown, problem: undefined },
  }
  const oversize = (password: string, headers = new Map<string, Secret>()) => {
    const proof = { kind: 'password', password: new Secret(asOctets(password)) } as const
    const asking = settings({ sendClientCertificate: true, headers })
    const question = { ...buildQuestion('alice', facts({ proof, tls }), asking), 'Auth-SSL-Subject': 'x'.repeat(7000) }
    return findOversize(question, asking)
  }
  assert.equal(oversize('secret', new Map([['X-Key', new Secret('x'.repeat(9000))]])), undefined)
  assert.match(oversize('x'.repeat(7000)) ?? '', /^headers of 1\d{4} octets, and 12288 is the limit$/)
})
