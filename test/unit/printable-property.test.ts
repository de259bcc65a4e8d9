/** What a terminal, a log viewer or a mail client obeys is in no text that mailmux hands on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { asOctets, decodeUtf8, encodeUtf8 } from '../../src/octets.ts'
import {
  escapeInJson,
  printable,
  printableLine,
  printableLines,
  printableOctets,
  showInJson,
} from '../../src/printable.ts'

const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

/** ESC, BEL, DEL, two of C1, every bidirectional control of UAX 9, and others that are invisible. */
const OBEYED_CHARACTERS = [
  ...['\u001b', '\u0007', '\u0000', '\r', '\n', '\b', '\u007f', '\u0085', '\u009b'],
  ...['\u061c', '\u200e', '\u200f', '\u202a', '\u202b', '\u202c', '\u202d', '\u202e'],
  ...['\u2066', '\u2067', '\u2068', '\u2069', '\u2028', '\u2029', '\u200b', '\ufeff', '\u00ad', '\u{e0001}', '\ud800'],
]

/** Any code unit, and often one of those. */
const anyText = fc
  .array(
    fc.oneof(
      fc.constantFrom(...OBEYED_CHARACTERS, '\t', '\\', '"', '\\u001b', '\\\\', 'u', 'r'),
      fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
      fc.string({ unit: 'grapheme', maxLength: 3 }),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''))

const without = (text: string, kept: string): string => text.replaceAll(new RegExp(`[${kept}]`, 'gu'), '')

test('leaves nothing in a text that is obeyed, and every other character', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      assert.doesNotMatch(printable(text), OBEYED)
      assert.doesNotMatch(without(printableLine(text), '\\t'), OBEYED)
      assert.doesNotMatch(without(printableLines(text), '\\t\\n'), OBEYED)
      assert.equal(printableLine(text, '?').length, text.length)
      assert.equal(
        printable(text).replaceAll('\u{fffd}', ''),
        text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffd]/gu, ''),
      )
    }),
    { numRuns: 2000 },
  )
  assert.equal(printable('jürgen@bücher.test 名 संपर्क'), 'jürgen@bücher.test 名 संपर्क')
  for (const character of OBEYED_CHARACTERS) assert.doesNotMatch(printable(`a${character}b`), OBEYED)
})

test('writes a JSON text without raw characters of this kind, and of the same value', () => {
  fc.assert(
    fc.property(fc.dictionary(anyText, fc.oneof(anyText, fc.array(anyText))), (value) => {
      for (const indent of [undefined, 2]) {
        const json = escapeInJson(JSON.stringify(value, undefined, indent))
        assert.doesNotMatch(without(json, '\\n'), OBEYED)
        assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify(value)))
      }
    }),
    { numRuns: 500 },
  )
})

test('writes a JSON text whose values show them, once parsed', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const shown = JSON.parse(showInJson(JSON.stringify({ text }))) as { text: string }
      assert.doesNotMatch(without(shown.text, '\\n\\t'), OBEYED)
    }),
    { numRuns: 2000 },
  )
  const shown = JSON.parse(showInJson(JSON.stringify('a\u001b[2J\\u001b\nb\u202e'))) as string
  assert.equal(shown, 'a\\u001b[2J\\u001b\nb\\u202e')
})

test('leaves nothing in a line of a protocol that is obeyed as UTF-8 or as latin1', () => {
  const octets = fc.oneof(
    fc
      .array(fc.integer({ min: 0, max: 255 }), { maxLength: 60 })
      .map((codes) => asOctets(String.fromCharCode(...codes))),
    anyText.map(encodeUtf8),
  )
  fc.assert(
    fc.property(octets, (line) => {
      const safe = printableOctets(line)
      const text = decodeUtf8(safe)
      assert.equal(safe.length, line.length)
      assert.doesNotMatch(without(safe.replaceAll('\r\n', ''), '\\t'), /[\x00-\x1f\x7f]/)
      if (text === undefined) assert.doesNotMatch(safe, /[\x80-\x9f]/)
      else assert.doesNotMatch(without(text.replaceAll('\r\n', ''), '\\t'), OBEYED)
    }),
    { numRuns: 2000 },
  )
  const alert = encodeUtf8('* OK [ALERT] Größe 名')
  assert.equal(printableOctets(alert), alert)
  assert.equal(printableOctets(asOctets('* OK Gr\xf6\xdfe')), '* OK Gr\xf6\xdfe')
  assert.equal(printableOctets(encodeUtf8('a\u202eb\u009b2J')), 'a???b??2J')
  assert.equal(printableOctets(asOctets('a\r\n\rb\n\x1b')), 'a\r\n?b??')
  // Without the last octet, the others are UTF-8: a soft hyphen, and a byte order mark.
  assert.equal(printableOctets(asOctets('\xc2\xad\x80')), '???')
  assert.equal(printableOctets(asOctets('\xef\xbb\xbf\x9b')), '????')
})
