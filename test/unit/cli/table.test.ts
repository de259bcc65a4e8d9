import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatMs, formatTable } from '../../../src/cli/table.ts'
import { printable } from '../../../src/printable.ts'

test('puts labels and columns in line, and lets the last column run on', () => {
  const rows = [
    { label: 'a', lines: [['1', 'one']] },
    {
      label: 'long',
      lines: [
        ['10', 'ten', 'x'],
        ['2', 'twenty', ''],
      ],
    },
  ]
  assert.deepEqual(formatTable(rows), ['a     1  one', 'long  10  ten     x', '      2   twenty'])
})

// Whoever can write a route could otherwise write on the operator's screen.
test('prints nothing that a terminal obeys', () => {
  for (const text of ['\u001b[2J', '\u009b31m', '\r\n', '\u0007', '\u202e', '\u2028', '\0', '\u200b'])
    assert.doesNotMatch(printable(`a${text}b`), /[\p{Cc}\p{Cf}\p{Zl}]/u)
  assert.equal(printable('jürgen@bücher.test 名'), 'jürgen@bücher.test 名')
  assert.deepEqual(formatTable([{ label: 'a', lines: [['\u001b[0m', 'x\ny']] }]), ['a  \u{fffd}[0m  x\u{fffd}y'])
})

test('formats durations in two units', () => {
  for (const [ms, text] of [
    [0, '0ms'],
    [849.6, '850ms'],
    [12_300, '12s'],
    [60_000, '1m'],
    [185_000, '3m 5s'],
    [7_800_000, '2h 10m'],
    [349_200_000, '4d 1h'],
  ] as const)
    assert.equal(formatMs(ms), text)
})
