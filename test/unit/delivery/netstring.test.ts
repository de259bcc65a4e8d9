/** The framing of a socketmap: netstrings, https://cr.yp.to/proto/netstrings.txt. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readNetstring, writeNetstring } from '../../../src/delivery/netstring.ts'

const MAX = 4096
const read = (text: string, max = MAX) => readNetstring(Buffer.from(text, 'latin1'), max)

describe('readNetstring', () => {
  for (const payload of ['', 'hello', 'delivery alice@example.test', '3:abc,', 'x'.repeat(MAX)]) {
    test(`waits for more at every cut of ${JSON.stringify(payload.slice(0, 30))}, and then gives it`, () => {
      const whole = writeNetstring(payload)
      for (let cut = 0; cut < whole.length; cut++) assert.equal(read(whole.slice(0, cut)), 'more', `cut at ${cut}`)
      assert.deepEqual(read(whole), { payload: Buffer.from(payload), length: whole.length })
      assert.deepEqual(read(`${whole}9:behind`), { payload: Buffer.from(payload), length: whole.length })
    })
  }

  for (const [what, text] of [
    ['a letter in the length', 'a'],
    ['a sign', '-1:'],
    ['a space before the length', ' 5:hello,'],
    ['no length', ':'],
    ['a leading zero', '05'],
    ['a second zero', '00'],
    ['a length that is too large', `${MAX + 1}`],
    ['more digits than the largest length has', '40960'],
    ['another end than a comma', '5:hello.'],
    ['a line', 'GET / HTTP/1.1'],
  ] as const) {
    test(`refuses ${what}, whatever follows`, () => {
      assert.equal(read(text), 'malformed')
      assert.equal(read(`${text}5:hello,`), 'malformed')
    })
  }

  test('counts octets, not characters', () => {
    assert.equal(writeNetstring('jürgen'), '7:jürgen,')
    assert.deepEqual(readNetstring(Buffer.from('7:jürgen,'), MAX), { payload: Buffer.from('jürgen'), length: 10 })
  })
})
