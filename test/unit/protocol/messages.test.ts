/** What clients put into SASL messages and ID, whatever it is: read or refused, never thrown at; what is written for back ends reads back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { asOctets } from '../../../src/octets.ts'
import { formatIdCommand } from '../../../src/protocol/imap/identity.ts'
import { parseIdPairs } from '../../../src/protocol/imap/parse.ts'
import { formatXclient } from '../../../src/protocol/xclient.ts'
import type { ClientIdentity } from '../../../src/protocol/protocol.ts'
import {
  decodeBase64,
  decodeOauthBearer,
  decodePlain,
  decodeScram,
  decodeXoauth2,
  encodePlain,
} from '../../../src/protocol/sasl.ts'

const octets = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1'))

const WORDS = [
  'user=',
  'auth=Bearer ',
  '\x01',
  '\x01\x01',
  'n,',
  'y,',
  'p=x,',
  'a=',
  ',',
  'n=',
  'r=',
  'm=',
  '=2C',
  '=3D',
  '=',
  '\0',
  'x',
  '\r\n',
  '\xe4',
]
const nearly = fc
  .array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...WORDS) }, octets), { maxLength: 12 })
  .map((words) => words.join(''))

const MESSAGES = [
  '\0alice\0secret',
  'user=alice\x01auth=Bearer token\x01\x01',
  'n,a=alice,\x01host=h\x01port=1\x01auth=Bearer token\x01\x01',
  'n,a=bob,n=alice,r=nonce,x=1',
]
/** One octet of a sound message put in, taken out or changed. */
const mutated = fc
  .tuple(fc.constantFrom(...MESSAGES), fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom(-1, 0, 1))
  .map(([message, at, code, how]) => {
    const place = at % message.length
    const octet = how < 0 ? '' : String.fromCharCode(code)
    return message.slice(0, place) + octet + message.slice(how > 0 ? place : place + 1)
  })

const anything = fc.oneof(octets, nearly, mutated).map(asOctets)

test('decodes anything or refuses it, and never throws', () => {
  fc.assert(
    fc.property(anything, (message) => {
      for (const decode of [decodePlain, decodeXoauth2, decodeOauthBearer, decodeScram, decodeBase64]) {
        const decoded = decode(message)
        if (decoded === undefined || typeof decoded === 'string') continue
        assert.equal(typeof decoded.user, 'string')
        if ('rewrite' in decoded)
          for (const user of [decoded.user, ...['x', '', '=,'].map(asOctets)]) decoded.rewrite(user)
      }
    }),
    { numRuns: 5000 },
  )
})

test('reads no PLAIN message in two ways', () => {
  fc.assert(
    fc.property(anything, (message) => {
      const decoded = decodePlain(message)
      if (typeof decoded === 'string' || decoded.credentials.kind !== 'password') return
      const said = decodeBase64(encodePlain(decoded.user, decoded.credentials))
      const again = decodePlain(said ?? asOctets(''))
      assert.ok(typeof again === 'object' && again.credentials.kind === 'password')
      assert.deepEqual([again.user, again.credentials.authcid], [decoded.user, decoded.credentials.authcid])
      assert.equal(again.credentials.password.reveal(), decoded.credentials.password.reveal())
    }),
    { numRuns: 3000 },
  )
})

/** Any name that may pass: no control characters, and not empty. */
const name = fc
  .string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter((code) => code !== 0x7f)
      .map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 60,
  })
  .map(asOctets)
const token = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 200,
})

test('puts another name into XOAUTH2, and leaves the token', () => {
  fc.assert(
    fc.property(name, name, token, (user, other, secret) => {
      const first = decodeXoauth2(asOctets(`user=${user}\x01auth=Bearer ${secret}\x01\x01`))
      assert.equal(first?.user, user)
      assert.equal(first.rewrite(user), `user=${user}\x01auth=Bearer ${secret}\x01\x01`)
      const rewritten = first.rewrite(other) ?? asOctets('')
      assert.ok(rewritten.endsWith(`\x01auth=Bearer ${secret}\x01\x01`))
      assert.equal(decodeXoauth2(rewritten)?.user, other)
    }),
  )
})

test('puts another name into OAUTHBEARER, and leaves the token, the host and the port', () => {
  const escape = (text: string): string => text.replace(/=/g, '=3D').replace(/,/g, '=2C')
  fc.assert(
    fc.property(name, name, token, fc.constantFrom('n', 'y'), (user, other, secret, flag) => {
      const rest = `,\x01host=h\x01port=993\x01auth=Bearer ${secret}\x01\x01`
      const first = decodeOauthBearer(asOctets(`${flag},a=${escape(user)}${rest}`))
      assert.equal(first?.user, user)
      const rewritten = first.rewrite(other) ?? asOctets('')
      assert.ok(rewritten.startsWith('n,a=') && rewritten.endsWith(rest))
      assert.equal(decodeOauthBearer(rewritten)?.user, other)
    }),
  )
})

/** Octets beyond ASCII are parts of UTF-8 characters, and have no case. */
function lowerAscii(octets: string): string {
  return octets.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

test('leaves SCRAM as it is, or says that it cannot be said', () => {
  const escape = (text: string): string => text.replace(/=/g, '=3D').replace(/,/g, '=2C')
  fc.assert(
    fc.property(name, name, fc.boolean(), (user, other, acting) => {
      const message = acting ? `n,a=${escape(user)},n=admin,r=nonce` : `n,,n=${escape(user)},r=nonce`
      const first = decodeScram(asOctets(message))
      assert.equal(first?.user, user)
      assert.equal(first.rewrite(user), message)
      if (lowerAscii(other) !== lowerAscii(user)) assert.equal(first.rewrite(other), undefined)
    }),
  )
})

const identity: fc.Arbitrary<ClientIdentity> = fc.record({
  sessionId: octets,
  client: fc.record({ address: fc.oneof(fc.ipV4(), fc.ipV6(), octets), port: fc.integer({ min: 0, max: 65535 }) }),
  local: fc.record({ address: fc.oneof(fc.ipV4(), fc.ipV6()), port: fc.integer({ min: 0, max: 65535 }) }),
  serverName: fc.option(fc.oneof(fc.domain(), octets), { nil: undefined }),
  tls: fc.boolean(),
  ttl: fc.integer({ min: 1, max: 6 }),
  id: fc
    .array(fc.tuple(fc.oneof(fc.constantFrom('name', 'x-proxy-ttl', 'os'), octets), octets), { maxLength: 40 })
    .map((pairs) => new Map(pairs)),
})

test('writes an XCLIENT whose values break neither the line nor the list', () => {
  fc.assert(
    fc.property(identity, (who) => {
      const line = formatXclient(who)
      assert.match(line, /^XCLIENT(?: [A-Z-]+=[\x21-\x3c\x3e-\x7e]*){7,8}$/)
      for (const pair of line.split(' ').slice(1)) assert.match(pair, /^[A-Z-]+=(?:\+[0-9A-F]{2}|[^+=])*$/)
      const [, session = ''] = / SESSION=(\S*)/.exec(line) ?? []
      const read = session.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
      assert.equal(read, who.sessionId)
    }),
    { numRuns: 2000 },
  )
})

test('writes an ID that reads back as what can be said of the client', () => {
  fc.assert(
    fc.property(identity, (who) => {
      const line = formatIdCommand('I', who)
      assert.match(line, /^I ID \([\x20-\x7e]*\)$/)
      const arguments_ = line.slice('I ID '.length)
      // our own parser holds to the RFC's lengths, which a client's pairs have met on the way in
      if ([...who.id].some(([key, value]) => key.length > 30 || value.length > 1024)) return
      const pairs = parseIdPairs([{ text: arguments_ }])
      assert.ok(pairs, arguments_)
      assert.ok(pairs.size <= 30)
      assert.equal(pairs.get('x-proxy-ttl'), String(who.ttl))
      assert.equal(pairs.get('x-connected-ip'), who.local.address)
      for (const [key, value] of who.id) {
        const clean = /^[\x20-\x7e]*$/.test(key + value)
        if (!clean || key.startsWith('x-') || who.id.size > 20 || key !== key.toLowerCase()) continue
        if ([...who.id.keys()].filter((other) => other.toLowerCase() === key).length === 1)
          assert.equal(pairs.get(key), value)
      }
    }),
    { numRuns: 2000 },
  )
})
