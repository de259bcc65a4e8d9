/** The pure checks of a client's input: requests of browsers, lengths, wrong passwords; and the description of the client's identity. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { asOctets, type Octets } from '../../../src/octets.ts'
import { boundWire } from '../../../src/protocol/bounded-wire.ts'
import {
  judgeLength,
  MAX_CREDENTIAL_BYTES,
  MAX_TOKEN_BYTES,
  mostBytes,
} from '../../../src/protocol/credential-bounds.ts'
import { actsForAnother } from '../../../src/protocol/decoy-challenge.ts'
import { isHttpRequest } from '../../../src/protocol/http.ts'
import { formatIdCommand, readTtl } from '../../../src/protocol/imap/identity.ts'
import type { ClientIdentity, Credentials, Refusal, Wire } from '../../../src/protocol/protocol.ts'
import { limitWrongPasswords } from '../../../src/protocol/wrong-passwords.ts'
import { formatXclient } from '../../../src/protocol/xclient.ts'
import { Secret } from '../../../src/secret.ts'

for (const [line, isRequest] of [
  ['GET / HTTP/1.1', true],
  ['POST /mail HTTP/2', true],
  ['ABCDEFGHIJKLMNOP x HTTP/0', true],
  ['GET / HTTP/1.1 more', true],
  ['ABCDEFGHIJKLMNOPQ / HTTP/1.1', false],
  ['GE / HTTP/1.1', false],
  ['get / HTTP/1.1', false],
  ['G3T / HTTP/1.1', false],
  ['a GET / HTTP/1.1', false],
  ['GET  HTTP/1.1', false],
  ['GET / x HTTP/1.1', false],
  ['GET / HTTP/', false],
  ['GET / HTTP/x', false],
  ['GET / http/1.1', false],
  ['GET /', false],
  ['', false],
] as const)
  test(`${isRequest ? 'takes' : 'does not take'} "${line}" for a request of HTTP (RFC 9112 3)`, () => {
    assert.equal(isHttpRequest(line), isRequest)
  })

const octets = (bytes: number): Octets => asOctets('x'.repeat(bytes))
const password = (authcid: Octets, bytes: number): Credentials => ({
  kind: 'password',
  authcid,
  password: new Secret(octets(bytes)),
})
/** @param bytes of its first message; undefined: it has none for another name */
const relayed = (mechanism: 'XOAUTH2' | 'OAUTHBEARER' | 'SCRAM-SHA-1', bytes?: number): Credentials => ({
  kind: 'relayed',
  mechanism,
  firstMessage: () => (bytes === undefined ? undefined : new Secret(octets(bytes))),
  converse: () => Promise.resolve('*'),
})

const ALICE = asOctets('alice')
const LENGTHS: [what: string, user: Octets, credentials: Credentials, judged: ReturnType<typeof judgeLength>][] = [
  ['a name and a password', ALICE, password(ALICE, 3995), 'usual'],
  ['a name and a password', ALICE, password(ALICE, 3996), 'too-long'],
  ['two names and a password', asOctets('bob'), password(ALICE, 3992), 'usual'],
  ['two names and a password', asOctets('bob'), password(ALICE, 3993), 'too-long'],
  ['a name in a certificate', octets(4000), { kind: 'certificate' }, 'usual'],
  ['a name in a certificate', octets(4001), { kind: 'certificate' }, 'too-long'],
  ['a message of SCRAM', ALICE, relayed('SCRAM-SHA-1', 4000), 'usual'],
  ['a message of SCRAM', ALICE, relayed('SCRAM-SHA-1', 4001), 'too-long'],
  ['a name that SCRAM cannot carry', octets(4000), relayed('SCRAM-SHA-1'), 'usual'],
  ['a name that SCRAM cannot carry', octets(4001), relayed('SCRAM-SHA-1'), 'too-long'],
  ...(['XOAUTH2', 'OAUTHBEARER'] as const).flatMap((mechanism): typeof LENGTHS => [
    [`a short token of ${mechanism}`, ALICE, relayed(mechanism, 4000), 'usual'],
    [`a token of ${mechanism}`, ALICE, relayed(mechanism, 4001), 'long'],
    [`the longest token of ${mechanism}`, ALICE, relayed(mechanism, 48 * 1024), 'long'],
    [`a longer token of ${mechanism}`, ALICE, relayed(mechanism, 48 * 1024 + 1), 'too-long'],
    [`a long token and the longest name in ${mechanism}`, octets(4000), relayed(mechanism, 9000), 'long'],
    [`a long token and a longer name in ${mechanism}`, octets(4001), relayed(mechanism, 9000), 'too-long'],
  ]),
]

for (const [index, [what, user, credentials, judged]] of LENGTHS.entries())
  test(`${index}: ${what}: ${judged}`, () => assert.equal(judgeLength(user, credentials), judged))

test('a message of a client may be as long as its credentials', () => {
  assert.deepEqual([MAX_CREDENTIAL_BYTES, MAX_TOKEN_BYTES], [4000, 49_152])
  assert.deepEqual(
    ['XOAUTH2', 'OAUTHBEARER', 'SCRAM-SHA-256', 'PLAIN'].map((mechanism) => mostBytes(mechanism)),
    [49_152, 49_152, 4000, 4000],
  )
})

const passedOn = (code: string): Refusal => ({ reason: 'passed-on', code, text: 'x' })
const COUNTED: Refusal[] = [
  ...(['authentication-failed', 'authorization-failed', 'disabled', 'cancelled'] as const).map((reason) => ({
    reason,
  })),
  ...['ALERT', 'AUTH', 'CONTACTADMIN', 'EXPIRED', 'WEBALERT', 'WEBALERT https://example.test/a b'].map(passedOn),
]
const NOT_COUNTED: Refusal[] = [
  ...(['unavailable', 'misconfigured', 'privacy-required'] as const).map((reason) => ({ reason })),
  ...['LIMIT', 'IN-USE', 'INUSE', 'OVERQUOTA', 'THROTTLED', 'X ALERT', 'ALERTS', ''].map(passedOn),
]
const codeOf = (refusal: Refusal): string => `${refusal.reason} ${'code' in refusal ? refusal.code : ''}`

for (const refusal of COUNTED)
  test(`counts as wrong credentials: ${codeOf(refusal)}`, () => {
    const count = limitWrongPasswords(2)
    count(refusal)
    assert.throws(
      () => count(refusal),
      new MuxError('client-too-many-wrong-passwords', '2 refused logins on one connection'),
    )
  })

for (const refusal of NOT_COUNTED)
  test(`does not count as wrong credentials: ${codeOf(refusal)}`, () => {
    const count = limitWrongPasswords(1)
    for (let times = 0; times < 3; times++) count(refusal)
    assert.throws(() => count({ reason: 'disabled' }), { code: 'client-too-many-wrong-passwords' })
  })

for (const [message, acts] of [
  ['n,,n=alice,r=x', false],
  ['n,a=alice,n=alice,r=x', false],
  ['y,a=alice,n=alice,r=x', false],
  ['n,a=bob,n=alice,r=x', true],
  ['y,a=alic,n=alice,r=x', true],
  ['n,a=bob,n=,r=x', true],
  ['n,,n=bob,a=x,n=y,r=x', false],
] as const)
  test(`a first message of SCRAM ${acts ? 'names' : 'does not name'} another user: ${message}`, () => {
    assert.equal(actsForAnother(message), acts)
  })

for (const [text, ttl] of [
  ['0', 0],
  ['7', 7],
  ['999', 999],
  ['1000', undefined],
  ['', undefined],
  ['-1', undefined],
  ['1x', undefined],
  ['x1', undefined],
] as const)
  test(`reads x-proxy-ttl "${text}" as ${ttl}`, () => assert.equal(readTtl(new Map([['x-proxy-ttl', text]])), ttl))

test('reads no x-proxy-ttl where the client has sent none', () => {
  assert.equal(readTtl(new Map([['name', '5']])), undefined)
})

const WHO: ClientIdentity = {
  sessionId: '1a-2',
  client: { address: '192.0.2.7', port: 4711 },
  local: { address: '2001:db8::1', port: 993 },
  serverName: 'mail.example.test',
  tls: true,
  ttl: 5,
  id: new Map(),
}
const OF_MAILMUX =
  '"x-session-id" "1a-2" "x-originating-ip" "192.0.2.7" "x-originating-port" "4711" "x-connected-ip" "2001:db8::1" ' +
  '"x-connected-port" "993" "x-connected-name" "mail.example.test" "x-proxy-ttl" "5" "x-client-transport" "TLS"'

test('builds the ID command with the client identity, by the keys of Dovecot', () => {
  assert.equal(formatIdCommand('I', WHO), `I ID (${OF_MAILMUX})`)
  assert.equal(
    formatIdCommand('t', { ...WHO, serverName: undefined, tls: false, ttl: 1 }),
    't ID (' +
      OF_MAILMUX.replace(' "x-connected-name" "mail.example.test"', '')
        .replace('"TLS"', '"insecure"')
        .replace('ttl" "5"', 'ttl" "1"') +
      ')',
  )
})

test('hands on in ID what the client has said of itself, but for what proxies say and what cannot be quoted', () => {
  const id = new Map([
    ['name', 'a "b"'],
    ['x-session-id', 'forged'],
    ['os', 'gr\xfcn'],
    ['k\xe4y', 'x'],
    ['version', ''],
    ['vendor-x-y', '1'],
  ])
  assert.equal(
    formatIdCommand('I', { ...WHO, id }),
    `I ID (${OF_MAILMUX} "name" "a \\"b\\"" "version" "" "vendor-x-y" "1")`,
  )
})

test('sends 30 pairs in ID at most (RFC 2971 3.3)', () => {
  const id = new Map(Array.from({ length: 30 }, (_, index) => [`k${index}`, 'v']))
  const line = formatIdCommand('I', { ...WHO, id })
  assert.equal(line.match(/"[^"]*" "[^"]*"/g)?.length, 30)
  assert.ok(line.endsWith('"k21" "v")'))
})

test('leaves out of ID what would make the list longer than 4,096 octets, and keeps what fits behind it', () => {
  const pair = ' "a" ""'
  const most = 4096 - OF_MAILMUX.length - pair.length
  for (const [bytes, fits] of [
    [most, true],
    [most + 1, false],
  ] as const) {
    const value = 'x'.repeat(bytes)
    const id = new Map([
      ['a', value],
      ['b', ''],
    ])
    const line = formatIdCommand('I', { ...WHO, id })
    assert.equal(line, `I ID (${OF_MAILMUX}${fits ? ` "a" "${value}")` : ' "b" "")'}`)
  }
})

test('builds the XCLIENT command with the client identity', () => {
  const addresses = 'ADDR=192.0.2.7 PORT=4711 DESTADDR=2001:db8::1 DESTPORT=993'
  assert.equal(
    formatXclient(WHO),
    `XCLIENT ${addresses} SESSION=1a-2 TTL=5 CLIENT-TRANSPORT=TLS DESTNAME=mail.example.test`,
  )
  assert.equal(
    formatXclient({ ...WHO, serverName: undefined, tls: false, sessionId: 'a b+c=d\r\n~!\x7f\0' }),
    `XCLIENT ${addresses} SESSION=a+20b+2Bc+3Dd+0D+0A~!+7F+00 TTL=5 CLIENT-TRANSPORT=insecure`,
  )
})

/** A back end that sends the same without an end. */
function endlessWire(line: string): Wire & { written: string[]; started: number } {
  const wire = {
    written: [] as string[],
    started: 0,
    secure: false,
    readLine: (limit: unknown) => Promise.resolve(asOctets(limit === 10 ? line : 'other limit')),
    readBytes: (count: number) => Promise.resolve(octets(count)),
    write: (text: string) => void wire.written.push(text),
    startTls: () => {
      wire.started++
      wire.secure = true
      return Promise.resolve()
    },
  }
  return wire
}

const TOO_MUCH = new MuxError('backend-garbage', 'more than 256 lines or 131072 bytes without a result')

test('a dialogue with a back end reads 256 lines or literals at most', async () => {
  const wire = boundWire(endlessWire('x'))
  for (let count = 0; count < 255; count++) assert.equal(await wire.readLine(10), 'x')
  assert.equal(await wire.readBytes(2), 'xx')
  await assert.rejects(wire.readLine(10), TOO_MUCH)
  await assert.rejects(wire.readBytes(0), TOO_MUCH)
})

test('a dialogue with a back end reads 128 KiB at most', async () => {
  const wire = boundWire(endlessWire('xy'))
  await wire.readBytes(128 * 1024 - 2)
  assert.equal(await wire.readLine(10), 'xy')
  await assert.rejects(wire.readBytes(1), TOO_MUCH)
})

test('a dialogue with a back end hands on no octet that a terminal obeys, and all else as it is', async () => {
  const inner = endlessWire('a\x1b[31m')
  const wire = boundWire(inner)
  assert.equal(await wire.readLine(10), 'a?[31m')
  wire.write('text')
  assert.deepEqual(inner.written, ['text'])
  assert.equal(wire.secure, false)
  await wire.startTls()
  assert.deepEqual([inner.started, wire.secure], [1, true])
})
