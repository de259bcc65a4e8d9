/**
 * The marker of a literal at the end of a line (RFC 9051 4.3, RFC 7888). A line that has come whole is read in place, and one that
 * has come in pieces from its last octets: both have to read the same literal, for otherwise a cut moves the end of a command.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ArgumentReader } from '../../../../src/protocol/imap/arguments.ts'

const NINES = '9'.repeat(20)

/** what follows each end of a line: nothing, two meanings, or a literal of so many octets, with a plus if it needs no continuation */
const ENDS: Record<string, string> = {
  '': 'none',
  ')': 'none',
  '{0}': '0',
  '{0+}': '0+',
  '{1}': '1',
  '{5}': '5',
  '{310}': '310',
  '{310+}': '310+',
  '~{5}': '5',
  '{{5}': '5',
  '{1} {2+}': '2+',
  '"{5}': '5',
  '{2147483647}': '2147483647',
  '{2147483647+}': '2147483647+',
  '{2147483648}': 'ambiguous',
  '{2147483648+}': 'ambiguous',
  '{4294967295}': 'ambiguous',
  '{4294967296}': 'ambiguous',
  '{4294967297}': 'ambiguous',
  '{9007199254740993}': 'ambiguous',
  [`{${NINES}}`]: 'ambiguous',
  [`{${NINES}+}`]: 'ambiguous',
  [`{1${'0'.repeat(19)}}`]: 'ambiguous',
  [`{${NINES}9}`]: 'none',
  [`{${NINES}9+}`]: 'none',
  [`{${NINES}{5}`]: '5',
  '{00}': 'ambiguous',
  '{01}': 'ambiguous',
  '{01+}': 'ambiguous',
  [`{${'0'.repeat(19)}1}`]: 'ambiguous',
  [`{${'0'.repeat(20)}1}`]: 'none',
  '{}': 'none',
  '{+}': 'none',
  '{-1}': 'none',
  '{+1}': 'none',
  '{+1+}': 'none',
  '{1++}': 'none',
  '{1+ }': 'none',
  '{ 1}': 'none',
  '{1 }': 'none',
  '{1} ': 'none',
  '{1}}': 'none',
  '{1': 'none',
  '{1+': 'none',
  '1}': 'none',
  '1+}': 'none',
  '+}': 'none',
  '}': 'none',
  '{': 'none',
  '"{5}"': 'none',
  '{5:}': 'none',
  '{5/}': 'none',
  '{\u00b5}': 'none',
  // The line end takes one CR, and what stands before another is no marker.
  '{5}\r\r': 'none',
  '{5\r}': 'none',
  '\r{5}': '5',
}

const BEFORE = ['', 'x ', `"${'long '.repeat(12)}" `]
const LINE_ENDS = ['\n', '\r\n']
/** what comes with the same chunk behind the line */
const BEHIND = ['', 'a {7}\r\n']

/** @returns the result of the reader for a line in these pieces, the last of which ends it */
function read(pieces: readonly Buffer[], from = 0): string {
  const reader = new ArgumentReader()
  reader.begin()
  const ends = pieces.map((piece, index) => reader.skim(piece, index === 0 ? from : 0))
  assert.ok(ends.slice(0, -1).every((end) => end === -1))
  assert.equal(ends.at(-1), pieces.at(-1)?.indexOf('\n', pieces.length === 1 ? from : 0))
  const outcome = reader.end()
  return outcome === 'literal' ? `${reader.bytes}${reader.isSynchronising ? '' : '+'}` : outcome
}

/** @returns the line cut at each place before its LF, and octet by octet */
function cutEverywhere(line: Buffer): Buffer[][] {
  const lf = line.indexOf('\n')
  const cuts = Array.from({ length: lf }, (_, index) => [line.subarray(0, index + 1), line.subarray(index + 1)])
  return [...cuts, Array.from({ length: lf + 1 }, (_, at) => line.subarray(at, at + 1))]
}

for (const [end, expected] of Object.entries(ENDS))
  test(`A line that ends in ${JSON.stringify(end)} reads as ${expected}, whole and with every cut`, () => {
    for (const before of BEFORE)
      for (const lineEnd of LINE_ENDS)
        for (const behind of BEHIND) {
          const line = Buffer.from(before + end + lineEnd + behind, 'latin1')
          assert.equal(read([line]), expected, 'whole')
          for (const pieces of cutEverywhere(line))
            assert.equal(read(pieces), expected, JSON.stringify(pieces.map((piece) => piece.toString('latin1'))))
        }
  })

test('A marker that begins before the arguments is none, whole and with every cut', () => {
  for (const end of Object.keys(ENDS)) {
    const line = Buffer.from(`${end}\r\n`, 'latin1')
    for (let from = 0; from <= end.length; from++) {
      const rest = line.subarray(from)
      const inPlace = read([line], from)
      for (const pieces of cutEverywhere(rest))
        assert.equal(read(pieces), inPlace, `${JSON.stringify(end)} from ${from}`)
    }
  }
})

test('A reader starts each line without the literal of the line before', () => {
  const reader = new ArgumentReader()
  for (const [octets, expected] of [
    ['x {5+}\r\n', 'literal'],
    ['\r\n', 'none'],
    ['x {05}\r\n', 'ambiguous'],
    [')\r\n', 'none'],
  ] as const) {
    reader.begin()
    reader.skim(Buffer.from(octets), 0)
    assert.equal(reader.end(), expected)
  }
  reader.begin()
  reader.skim(Buffer.from('x {5}\r\n'), 0)
  assert.equal(reader.end(), 'literal')
  assert.equal(reader.isSynchronising, true)
})
