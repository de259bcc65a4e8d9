/** Text from outside as a log line or a terminal shows it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { octetsToPrintable, toPrintable } from '../../src/printable.ts'

const octets = (text: string): string => Buffer.from(text).toString('latin1')

test('leaves names of every script as they are', () => {
  for (const text of ['alice@example.test', 'jürgen', 'संपर्क', 'ผู้ใช้', '用户@例子', 'a"b c', '😀'])
    assert.equal(octetsToPrintable(octets(text), 128), text)
})

test('escapes what acts on a terminal or turns text around', () => {
  for (const [text, shown] of [
    ['a\x1b[2Jb', 'a\\u{1b}[2Jb'],
    ['a\r\nb\0\x7f', 'a\\u{d}\\u{a}b\\u{0}\\u{7f}'],
    ['a\x9bb\x85', 'a\\u{9b}b\\u{85}'],
    ['a\u202etset\u2066', 'a\\u{202e}tset\\u{2066}'],
    ['a\u2028b\u200b\ufeff', 'a\\u{2028}b\\u{200b}\\u{feff}'],
    ['a\\u{1b}', 'a\\\\u{1b}'],
    ['\ud83d', '\\u{d83d}'],
  ] as const)
    assert.equal(toPrintable(text, 128), shown)
  assert.equal(octetsToPrintable('a\xff\x80\x1b', 128), 'a\\xff\\x80\\u{1b}')
})

test('cuts long text, at no half character', () => {
  assert.equal(octetsToPrintable('x'.repeat(10_000), 128), `${'x'.repeat(128)}…`)
  assert.equal(octetsToPrintable(octets('ü'.repeat(5000)), 128), `${'ü'.repeat(128)}…`)
  assert.equal(octetsToPrintable(octets('語'.repeat(5000)), 128), `${'語'.repeat(128)}…`)
})

test('shows no octets that act on the reader, whatever comes, and is bounded', () => {
  const anything = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
  fc.assert(
    fc.property(fc.oneof(anything, fc.string({ unit: 'binary' }).map(octets)), (text) => {
      const shown = octetsToPrintable(text, 64)
      assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
      assert.ok(shown.length <= 65 * '\\u{10ffff}'.length)
    }),
  )
})
