/** The grammar of IMAP before login at its limits (RFC 9051 9, RFC 2971 3): tags, status responses, and the pairs of ID. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  parseCapabilityLine,
  parseCommandStart,
  parseIdPairs,
  parseStatus,
} from '../../../../src/protocol/imap/parse.ts'
import type { Piece } from '../../../../src/protocol/reader.ts'

test('takes every octet of the grammar for a part of a tag, and no other', () => {
  for (let code = 0; code < 256; code++) {
    const octet = String.fromCharCode(code)
    const isTagOctet = /[!#$&',\-./0-9:;<=>?@A-Z[\]^_`a-z|~]/.test(octet)
    for (const tag of [octet, `a${octet}`, `${octet}a`])
      if (octet !== ' ') assert.equal(parseCommandStart(`${tag} NOOP`).tag, isTagOctet ? tag : undefined, `${code}`)
  }
})

const STARTS: [line: string, start: ReturnType<typeof parseCommandStart>][] = [
  ['', { tag: undefined, name: '', rest: '' }],
  [' ', { tag: undefined, name: '', rest: '' }],
  [' a NOOP', { tag: undefined, name: '', rest: '' }],
  ['a', { tag: 'a', name: '', rest: '' }],
  ['a ', { tag: 'a', name: '', rest: '' }],
  ['a noop', { tag: 'a', name: 'NOOP', rest: '' }],
  ['a   noop', { tag: 'a', name: 'NOOP', rest: '' }],
  ['a noop  x ', { tag: 'a', name: 'NOOP', rest: ' x ' }],
  ['a id \r\n"', { tag: 'a', name: 'ID', rest: '\r\n"' }],
  ['+ noop x', { tag: undefined, name: 'NOOP', rest: 'x' }],
  [`${'t'.repeat(64)} NOOP`, { tag: 't'.repeat(64), name: 'NOOP', rest: '' }],
  [`${'t'.repeat(65)} NOOP`, { tag: undefined, name: 'NOOP', rest: '' }],
]

for (const [line, start] of STARTS)
  test(`takes ${JSON.stringify(line.slice(0, 40))} (${line.length} octets) apart`, () => {
    assert.deepEqual(parseCommandStart(line), start)
  })

const NONE = new Map<string, string>()
const pairs = (count: number): string => Array.from({ length: count }, (_, index) => `"k${index}" "v"`).join(' ')

const IDS: [pieces: (string | { literal: string })[], read: Record<string, string> | undefined][] = [
  [[''], {}],
  [['  '], {}],
  [['NIL'], {}],
  [[' nil '], {}],
  [['NILX'], undefined],
  [['XNIL'], undefined],
  [['()'], {}],
  [[' (  ) '], {}],
  [['("a" "b")'], { a: 'b' }],
  [['("A" "B")'], { a: 'B' }],
  [['(  "a"   "b"  )  '], { a: 'b' }],
  [['("a""b")'], { a: 'b' }],
  [['("a" NIL "c" "d")'], { c: 'd' }],
  [['("a" nil)'], {}],
  [['("a" NILX)'], undefined],
  [['(NIL "a")'], undefined],
  [['("a" "b" "a" "c")'], { a: 'c' }],
  [['("a\\"b" "\\\\c")'], { 'a"b': '\\c' }],
  [['("a")'], undefined],
  [['("a" "b" "c")'], undefined],
  [['"a" "b"'], undefined],
  [['("a" "b"'], undefined],
  [['"a" "b")'], undefined],
  [['(a b)'], undefined],
  [['("a" b)'], undefined],
  [['("a" "b) '], undefined],
  [['x("a" "b")'], undefined],
  [['("a" "b")x'], undefined],
  [['x"a" "b")'], undefined],
  [['("a" "b"x'], undefined],
  [['("a" ', { literal: 'b"\r\n' }, ')'], { a: 'b"\r\n' }],
  [['( ', { literal: 'A' }, ' "b" "c" ', { literal: '' }, ' )'], { a: 'b', c: '' }],
  [['(', { literal: 'a' }, '', { literal: 'b' }, ')'], { a: 'b' }],
  [['NIL', { literal: 'a' }, ''], undefined],
  [['', { literal: 'a' }, ')'], undefined],
  [['(', { literal: 'a' }, ' "b"'], undefined],
  [['(', { literal: 'a' }, '( "b")'], undefined],
  [[`("${'k'.repeat(30)}" "v")`], { ['k'.repeat(30)]: 'v' }],
  [[`("${'k'.repeat(31)}" "v")`], undefined],
  [[`("${'k'.repeat(31)}" NIL)`], undefined],
  [[`("k" "${'v'.repeat(1024)}")`], { k: 'v'.repeat(1024) }],
  [[`("k" "${'v'.repeat(1025)}")`], undefined],
  [['(', { literal: 'k'.repeat(31) }, ' "v")'], undefined],
  [[`(${pairs(30)})`], Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`k${index}`, 'v']))],
  [[`(${pairs(31)})`], undefined],
]

for (const [index, [texts, read]] of IDS.entries())
  test(`${index}: reads ${read ? `${Object.keys(read).length} pairs` : 'no list'} in ID ${JSON.stringify(texts).slice(0, 60)}`, () => {
    const pieces = texts.map((text): Piece => (typeof text === 'string' ? { text } : text))
    const found = parseIdPairs(pieces)
    assert.deepEqual(found, read && new Map(Object.entries(read)))
    if (read && Object.keys(read).length === 0) assert.deepEqual(found, NONE)
  })

test('an ID without an argument that is a literal is no list', () => {
  assert.equal(parseIdPairs([{ literal: '' }]), undefined)
})

const STATUS: [line: string, status: ReturnType<typeof parseStatus>][] = [
  ['* OK', { tag: '*', type: 'OK', code: undefined, codeArguments: '', text: '' }],
  ['* OK ', { tag: '*', type: 'OK', code: undefined, codeArguments: '', text: '' }],
  ['* preauth x', { tag: '*', type: 'PREAUTH', code: undefined, codeArguments: '', text: 'x' }],
  ['a1 bye  x ', { tag: 'a1', type: 'BYE', code: undefined, codeArguments: '', text: ' x ' }],
  ['a BAD [x]', { tag: 'a', type: 'BAD', code: 'X', codeArguments: '', text: '' }],
  ['a NO [x y z] t', { tag: 'a', type: 'NO', code: 'X', codeArguments: 'y z', text: 't' }],
  ['a NO [x ] t', { tag: 'a', type: 'NO', code: 'X', codeArguments: '', text: 't' }],
  ['a NO [x', { tag: 'a', type: 'NO', code: undefined, codeArguments: '', text: '[x' }],
  ['a NO [] t', { tag: 'a', type: 'NO', code: undefined, codeArguments: '', text: '[] t' }],
  ['a NO [x]t', { tag: 'a', type: 'NO', code: undefined, codeArguments: '', text: '[x]t' }],
  ['a NO t [x]', { tag: 'a', type: 'NO', code: undefined, codeArguments: '', text: 't [x]' }],
  ['a NOT x', undefined],
  ['a  OK', undefined],
  ['a OK\tx', undefined],
]

for (const [line, status] of STATUS)
  test(`reads ${JSON.stringify(line)} as ${status?.type ?? 'no status'}`, () => {
    assert.deepEqual(parseStatus(line), status)
  })

for (const [line, words] of [
  ['* CAPABILITY IMAP4rev1 ID', 'IMAP4rev1 ID'],
  ['* capability ', ''],
  ['* CAPABILITY', undefined],
  ['* CAPABILITYX y', undefined],
  ['x * CAPABILITY y', undefined],
  ['a CAPABILITY y', undefined],
] as const)
  test(`reads ${words === undefined ? 'no' : 'the'} words of "${line}"`, () => {
    assert.equal(parseCapabilityLine(line), words)
  })
