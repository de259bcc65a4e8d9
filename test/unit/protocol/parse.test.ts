import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseCommandStart, parseStatus } from '../../../src/protocol/imap/parse.ts'
import { parseCommand, parseResponse } from '../../../src/protocol/pop3/parse.ts'
import { formatQuoted, parseLiteralMarker, parseStrings, type Piece } from '../../../src/protocol/reader.ts'

const octets = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'))

/** Strings as a client may send them: quoted where that carries them, else as literals. */
function toPieces(values: readonly string[]): Piece[] {
  const pieces: Piece[] = []
  let text = ''
  for (const [index, value] of values.entries()) {
    if (index > 0) text += ' '
    const quoted = formatQuoted(value)
    if (quoted !== undefined) text += quoted
    else {
      pieces.push({ text }, { literal: value })
      text = ''
    }
  }
  return [...pieces, { text }]
}

test('reads back any octets that were written as astrings', () => {
  fc.assert(
    fc.property(fc.array(octets, { minLength: 1, maxLength: 4 }), (values) => {
      assert.deepEqual(parseStrings(toPieces(values)), values)
    }),
  )
})

test('reads any pieces without throwing, and never a control character but from a literal', () => {
  fc.assert(
    fc.property(fc.array(octets), (texts) => {
      for (const value of parseStrings(texts.map((text) => ({ text }))) ?? []) assert.doesNotMatch(value, /[\r\n\0]/)
    }),
  )
})

test('quotes no octet that a quoted string cannot carry', () => {
  for (const text of ['a\r', 'a\n', 'a\0', 'a\t', '\x7f', 'p\xe4ss']) assert.equal(formatQuoted(text), undefined)
})

test('sees a literal at the end of a line and nowhere else', () => {
  assert.deepEqual(parseLiteralMarker('a LOGIN {12}'), { bytes: 12, synchronising: true, before: 'a LOGIN ' })
  assert.deepEqual(parseLiteralMarker('{0+}'), { bytes: 0, synchronising: false, before: '' })
  for (const line of [
    'a LOGIN {12} ',
    'a {12}x',
    'a {}',
    'a {+}',
    'a {1-}',
    'a {-1}',
    'a {1 }',
    'a "{12}"',
    'a 12}',
    '',
  ])
    assert.equal(parseLiteralMarker(line), undefined, line)
})

test('takes a command apart without losing a space of its arguments', () => {
  assert.deepEqual(parseCommandStart('a1 login x  y '), { tag: 'a1', name: 'LOGIN', rest: 'x  y ' })
  assert.deepEqual(parseCommandStart('a1 noop'), { tag: 'a1', name: 'NOOP', rest: '' })
})

test('takes a status response apart', () => {
  assert.deepEqual(parseStatus('* OK [CAPABILITY IMAP4rev1 ID] hello there'), {
    tag: '*',
    type: 'OK',
    code: 'CAPABILITY',
    codeArguments: 'IMAP4rev1 ID',
    text: 'hello there',
  })
  assert.deepEqual(parseStatus('A no [limit]'), { tag: 'A', type: 'NO', code: 'LIMIT', codeArguments: '', text: '' })
  assert.deepEqual(parseStatus('A BAD'), { tag: 'A', type: 'BAD', code: undefined, codeArguments: '', text: '' })
  for (const line of ['', '*', '* ', 'OK', '* OKAY', '* CAPABILITY IMAP4rev1', '+ OK', ' * OK'])
    assert.equal(parseStatus(line)?.tag === '*', false, line)
})

test('takes a POP3 command apart without losing a space of its argument', () => {
  assert.deepEqual(parseCommand('pass  a b '), { name: 'PASS', argument: ' a b ' })
  assert.deepEqual(parseCommand('QUIT'), { name: 'QUIT', argument: '' })
})

test('takes a POP3 response apart', () => {
  assert.deepEqual(parseResponse('-ERR [SYS/TEMP] away'), {
    ok: false,
    code: 'SYS/TEMP',
    text: 'away',
    words: '[SYS/TEMP] away',
  })
  assert.deepEqual(parseResponse('-err [in-use]x'), { ok: false, code: 'IN-USE', text: 'x', words: '[in-use]x' })
  assert.deepEqual(parseResponse('-ERR [] x'), { ok: false, code: undefined, text: '[] x', words: '[] x' })
  const words = '[not a code] hello'
  assert.deepEqual(parseResponse(`+OK ${words}`), { ok: true, code: undefined, text: words, words })
  assert.deepEqual(parseResponse('+OK'), { ok: true, code: undefined, text: '', words: '' })
  for (const line of ['', '+', '+ ', '+OKAY', '-ERROR', ' +OK', '* OK'])
    assert.equal(parseResponse(line), undefined, line)
})

test('reads any line without throwing', () => {
  fc.assert(
    fc.property(octets, (line) => {
      parseStatus(line)
      parseResponse(line)
      parseCommand(line)
      parseLiteralMarker(line)
      const { tag } = parseCommandStart(line)
      // what is echoed to a client
      if (tag !== undefined) assert.match(tag, /^[\x21-\x7e]+$/)
    }),
  )
})
