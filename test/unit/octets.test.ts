/** Octets and text: the conversions lose nothing, and no octets are made of text. */
import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { LineSocket } from '../../src/net/line-socket.ts'
import { asOctets, bytesOf, decodeUtf8, encodeUtf8, octetsOf, type Octets, type Text } from '../../src/octets.ts'
import { byPassword, decodeBase64, encodeBase64, runMechanism } from '../../src/protocol/sasl.ts'
import { buildQuestion } from '../../src/directory/auth-http/question.ts'
import { identifyUser } from '../../src/routing/identity.ts'
import { encodeSecret, Secret } from '../../src/secret.ts'
import { PLAIN_RULES } from '../../src/user-name.ts'

const normaliseUser = (octets: Octets): Text | undefined => identifyUser(octets, PLAIN_RULES)?.user

/** Every code point but the surrogates, which no well-formed text has. */
function* everyCodePoint(): Generator<string> {
  for (let code = 0; code <= 0x10ffff; code++) if (code < 0xd800 || code > 0xdfff) yield String.fromCodePoint(code)
}

test('every character of Unicode is the same after it has been octets', () => {
  for (const character of everyCodePoint()) {
    const octets = encodeUtf8(character)
    if (decodeUtf8(octets) !== character || /[^\x00-\xff]/.test(octets))
      assert.fail(`U+${character.codePointAt(0)?.toString(16)}`)
  }
})

test('every text is the same after it has been octets, and the octets are its UTF-8', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.deepEqual(bytesOf(encodeUtf8(text)), Buffer.from(text))
      assert.equal(decodeUtf8(encodeUtf8(text)), text.toWellFormed())
    }),
  )
})

test('any bytes are the same after they have been octets', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const octets = octetsOf(Buffer.from(bytes))
      assert.deepEqual(new Uint8Array(bytesOf(octets)), new Uint8Array(bytes))
      assert.equal(asOctets(octets), octets)
    }),
  )
})

test('no octets are made of text with a character above U+00FF', () => {
  for (let code = 0; code <= 0xffff; code++) {
    const make = (): string => asOctets(String.fromCharCode(code))
    if (code <= 0xff) assert.equal(make().length, 1)
    else assert.throws(make, RangeError)
  }
})

test('a password outside ASCII in a file goes over the wire in UTF-8', () => {
  assert.equal(encodeSecret(new Secret('Geheimniš')).reveal(), 'Geheimni\xc5\xa1')
})

// RFC 3629 3: an overlong form could hide a character from a check
test('what is no UTF-8 is no text', () => {
  for (const octets of ['\xff', 'a\xc3', '\xc0\xaf', '\xed\xa0\x80', '\xf4\x90\x80\x80'])
    assert.equal(decodeUtf8(asOctets(octets)), undefined)
})

// the conversions of SASL, auth_http and the wire, which used to drop the high byte
test('a name with a character above U+00FF is never sent as another name', () => {
  const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
  const lines = new LineSocket(socket as unknown as Socket, 'backend')
  fc.assert(
    fc.property(fc.integer({ min: 0x100, max: 0xffff }), (code) => {
      const name = `${String.fromCharCode(code)}lice@example.test`
      assert.throws(() => encodeBase64(name), RangeError)
      assert.throws(() => byPassword(name, 'secret'), RangeError)
      assert.throws(() => byPassword('alice', name), RangeError)
      assert.throws(() => lines.write(`USER ${name}\r\n`), RangeError)
    }),
  )
})

test('a name reaches the directory and the back end in SASL, in auth_http and in base64 as the same UTF-8', async () => {
  const facts = { protocol: 'imap', proof: { kind: 'certificate' }, attempt: 1 } as const
  const settings = { headers: new Map(), sendPassword: false } as unknown as Parameters<typeof buildQuestion>[2]
  const client = { address: '192.0.2.1', port: 1 }
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1 }), async (text) => {
      const name = normaliseUser(encodeUtf8(text))
      if (name === undefined) return
      const octets = encodeUtf8(name)
      const question = buildQuestion(name, { ...facts, client, proxied: undefined, tls: undefined }, settings)
      assert.equal(decodeURIComponent(escape8(question['Auth-User'] ?? '')), name)
      assert.equal(decodeBase64(encodeBase64(octets)), octets)
      const ask = (): Promise<string> => assert.fail('nothing to ask')
      const outcome = await runMechanism('EXTERNAL', { initial: '=', ask, certifiedUser: octets })
      assert.ok(typeof outcome === 'object')
      assert.equal(normaliseUser(outcome.user), name)
    }),
  )
})

/** Octets as a URI writes them. */
function escape8(octets: string): string {
  return Array.from(octets, (octet) => `%${octet.charCodeAt(0).toString(16).padStart(2, '0')}`).join('')
}

// every character of Unicode, as the first of a name that would be another user's without its high bytes
test('no character makes a name another user’s', () => {
  for (const character of everyCodePoint()) {
    const text = `${character}lice@example.test`
    const user = normaliseUser(encodeUtf8(text))
    if (user !== undefined && user !== text.normalize('NFC')) assert.fail(`U+${character.codePointAt(0)?.toString(16)}`)
  }
})
