import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mustReplace } from '../../../../src/directory/replaceable.ts'
import { certificate, loadSettings } from '../fixture.ts'
import { MAIN, testCases, withListener, type Case } from '../cases.ts'

const withAuth = (keys: string): string => `${MAIN}directory: {auth_http: {${keys}}}\n`
const HERE = "url: 'http://127.0.0.1:9000/auth'"
const FAR = "url: 'http://auth.example.org/auth'"
const SAFE = "url: 'https://auth.example.org/auth'"

/** Each guard fires here, and the honest neighbour of each bad case passes without a word. */
const CASES: Case[] = [
  { it: 'an auth server on this machine', main: withAuth(HERE) },
  { it: 'an auth server in IPv6 on this machine', main: withAuth("url: 'http://[::1]:9000/auth'") },
  { it: 'an auth server of the name localhost', main: withAuth("url: 'http://localhost/'") },
  { it: 'an auth server by https', main: withAuth(`${SAFE}, send_password: true`) },
  { it: 'an auth server without a url', main: withAuth('send_password: true'), error: /missing key "url"/u },
  { it: 'a url of another kind', main: withAuth("url: 'unix:/run/auth'"), error: /not the URL of an auth server/u },
  { it: 'a host with a port in place of a url', main: withAuth("url: '127.0.0.1:9000/auth'"), error: /not the URL/u },
  { it: 'a password in the url', main: withAuth("url: 'https://u:p@auth.test/'"), error: /credentials belong into/u },
  { it: 'a fragment in the url', main: withAuth("url: 'https://auth.test/#a'"), error: /never sent/u },
  {
    it: 'http to another machine',
    main: withAuth(FAR),
    error: /6:30: http:\/\/ to another machine needs allow_plaintext/u,
  },
  {
    it: 'http to another machine with passwords',
    main: withAuth(`${FAR}, send_password: true`),
    error: /needs allow_plaintext/u,
  },
  {
    it: 'http to a name that only begins as this machine',
    main: withAuth("url: 'http://localhost.test/'"),
    error: /needs/u,
  },
  {
    it: 'http to another machine that is wanted',
    main: withAuth(`${FAR}, allow_plaintext: true`),
    warning: /unencrypted/u,
  },
  { it: 'plaintext that is none', main: withAuth(`${SAFE}, allow_plaintext: true`), error: /does nothing here/u },
  { it: 'plaintext on this machine', main: withAuth(`${HERE}, allow_plaintext: true`), error: /does nothing here/u },
  { it: 'a CA for https', main: withAuth(`${SAFE}, ca_file: cert.pem`) },
  { it: 'a CA for http', main: withAuth(`${HERE}, ca_file: cert.pem`), error: /does nothing: the url is http/u },
  { it: 'a CA that is none', main: withAuth(`${SAFE}, ca_file: key.pem`), error: /holds no certificate/u },
  {
    it: 'headers of any name, from the file itself and from others',
    main: withAuth(`${HERE}, headers: {X-Auth-Key: a b, Authorization: {file: auth.key}}`),
    others: { 'auth.key': 'Bearer-1\n' },
  },
  {
    it: 'a header with a line end',
    main: withAuth(`${HERE}, headers: {X-A: "a\\r\\nAuth-Status: OK"}`),
    error: /characters/u,
  },
  {
    it: 'what is no name of a header',
    main: withAuth(`${HERE}, headers: {'X A': a}`),
    error: /not the name of a header/u,
  },
  {
    it: 'a header without its file',
    main: withAuth(`${HERE}, headers: {X-A: {file: none}}`),
    error: /does not exist/u,
  },
  ...['Auth-User', 'auth-pass', 'Client-IP', 'Proxy-Protocol-Addr', 'Host', 'Content-Length', 'Connection'].map(
    (name) => ({
      it: `${name}, which mailmux sends itself or not at all`,
      main: withAuth(`${HERE}, headers: {${name}: a}`),
      error: /is sent by mailmux itself/u,
    }),
  ),
  { it: 'two directories', main: `${MAIN}directory: {static: {}, auth_http: {${HERE}}}\n`, error: /there can be one/u },
  {
    it: 'the domains of a routing file',
    main: withAuth(HERE),
    routing: 'backends: {store1: {host: 10.0.0.11, imap: 143}}\ndomains: {example.org: store1}\n',
    error: /^routing\.yaml:2:1: does nothing: directory\.auth_http is asked first/u,
  },
  {
    it: 'the placement of a routing file',
    main: withAuth(HERE),
    routing: 'backends: {store1: {host: 10.0.0.11, imap: 143, pop3: 110}}\nplacement: hash\n',
    error: /^routing\.yaml:2:12: /u,
  },
  { it: 'no users but its own', main: withAuth(HERE), routing: 'backends: {store1: {host: 10.0.0.11, imap: 143}}\n' },
]

testCases(CASES)

test('reads all that is said of an auth server', (t) => {
  const { directory } = loadSettings(t, {
    main: withAuth(
      `${SAFE}, send_password: true, timeout: 3s, send_client_certificate: true, ca_file: cert.pem, headers: {X-A: '1', X-B: {file: auth.key}}`,
    ),
    others: { 'auth.key': 'secret\n' },
  })
  assert.ok(directory.kind === 'auth_http')
  const { url, headers, ca, ...rest } = directory
  assert.deepEqual(rest, { kind: 'auth_http', timeoutMs: 3000, sendPassword: true, sendClientCertificate: true })
  assert.equal(url.href, 'https://auth.example.org/auth')
  assert.equal(ca, certificate('mail')['cert.pem'])
  assert.deepEqual(
    [...headers].map(([name, value]) => [name, value.reveal()]),
    [
      ['X-A', '1'],
      ['X-B', 'secret'],
    ],
  )
})

test('sends no password unless it is said', (t) => {
  const { directory } = loadSettings(t, { main: withAuth(HERE) })
  assert.ok(directory.kind === 'auth_http')
  assert.deepEqual([directory.sendPassword, directory.sendClientCertificate, directory.timeoutMs], [false, false, 5000])
})

// Whoever is offered a mechanism without a password takes it, and a server that checks passwords can only say no.
test('offers no mechanism that a server which checks passwords cannot judge, unless the listener names it', (t) => {
  const tls = 'tls: {certificates: [{cert: cert.pem, key: key.pem}]}'
  const mechanisms = (listener: string, keys: string) =>
    loadSettings(t, { main: withListener(listener, `${tls}\ndirectory: {auth_http: {${HERE}${keys}}}`) }).listeners[0]
      ?.mechanisms
  assert.deepEqual(mechanisms('listen: 1', ', send_password: true'), ['PLAIN', 'LOGIN', 'EXTERNAL'])
  assert.deepEqual(mechanisms('listen: 1, mechanisms: [XOAUTH2]', ', send_password: true'), ['XOAUTH2'])
  assert.equal(mechanisms('listen: 1', ''), undefined)
})

test('replaces the directory for any change but of the value of a header', (t) => {
  const settings = (key: string) =>
    loadSettings(t, { main: withAuth(`${HERE}, headers: {X-A: {file: auth.key}}`), others: { 'auth.key': key } })
  const [one, two] = [settings('one').directory, settings('two').directory]
  assert.ok(one.kind === 'auth_http' && two.kind === 'auth_http')
  assert.ok(!mustReplace(one, two))
  for (const changed of [
    { ...two, url: new URL('http://127.0.0.1:2/auth') },
    { ...two, ca: 'PEM' },
    { ...two, timeoutMs: 1 },
    { ...two, headers: new Map() },
  ])
    assert.ok(mustReplace(one, changed), JSON.stringify(changed))
})
