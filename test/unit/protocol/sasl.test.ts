import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeBase64, encodeBase64, hasControlCharacter } from '../../../src/protocol/sasl.ts'

const octets = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'))

test('reads back any octets from base64', () => {
  fc.assert(
    fc.property(octets, (text) => {
      assert.equal(decodeBase64(encodeBase64(text)), text)
    }),
  )
})

// CVE-2025-59028: what is not base64 must be refused, not skipped
test('refuses base64 with anything added, or cut short', () => {
  const stranger = fc
    .integer({ min: 0, max: 255 })
    .map((code) => String.fromCharCode(code))
    .filter((one) => !/[A-Za-z0-9+/]/.test(one))
  fc.assert(
    fc.property(
      octets.filter((text) => text !== ''),
      stranger,
      fc.nat(),
      (text, added, at) => {
        const encoded = encodeBase64(text)
        const place = at % (encoded.length + 1)
        assert.equal(decodeBase64(encoded.slice(0, place) + added + encoded.slice(place)), undefined)
        assert.equal(decodeBase64(encoded.slice(0, -1)), undefined)
      },
    ),
  )
})

test('takes nothing for base64 of nothing', () => {
  assert.equal(decodeBase64(''), '')
  for (const text of ['=', '==', '====', 'A===', 'AA=A', 'AA', 'AAAA\n', 'AA-_', 'AA==AA=='])
    assert.equal(decodeBase64(text), undefined, text)
})

test('sees every ASCII control character and no other octet', () => {
  for (let code = 0; code < 256; code++)
    assert.equal(hasControlCharacter(`a${String.fromCharCode(code)}b`), code < 0x20 || code === 0x7f, String(code))
})
