/** What `mailmux move` prints of the end of a move, as text and with `--json`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeOutcome, formatMoveLine } from '../../../src/cli/move-events.ts'
import { formatOutcome } from '../../../src/cli/move.ts'
import type { MoveOutcome } from '../../../src/move/move-user.ts'

const ORDER = { user: 'ann', from: 'store1', to: 'store2' }
const FAILED = { kind: 'failed', step: 'final', why: 'exit 3', temporary: false, route: 'old' } as const

const CASES: [what: string, outcome: MoveOutcome, text: RegExp, line: object][] = [
  [
    'a move',
    { kind: 'moved', heldMs: 1500 },
    /^ann: moved from store1 to store2, on hold for 1\.5 s$/,
    { event: 'moved', heldMs: 1500 },
  ],
  [
    'a failure',
    FAILED,
    /^ann: not moved: final: exit 3; the user stays on store1$/,
    { event: 'failed', step: 'final', why: 'exit 3', temporary: false, route: 'old' },
  ],
  [
    'a lost answer',
    { ...FAILED, route: 'unknown' },
    /; the route is not known$/,
    { event: 'failed', step: 'final', why: 'exit 3', temporary: false, route: 'unknown' },
  ],
  [
    'a removed user',
    { ...FAILED, now: { backend: undefined } },
    /; the user has no route any more: it was removed while the move ran; the mail on store1, and what was copied to store2, are left as they are$/,
    { event: 'failed', step: 'final', why: 'exit 3', temporary: false, route: 'old', backend: null },
  ],
  [
    'a changed route',
    { ...FAILED, now: { backend: 'store3' } },
    /; the route names store3 now, by another program; /,
    { event: 'failed', step: 'final', why: 'exit 3', temporary: false, route: 'old', backend: 'store3' },
  ],
]

for (const [what, outcome, text, line] of CASES)
  test(`prints ${what}`, () => {
    assert.match(formatOutcome(ORDER, outcome), text)
    assert.deepEqual(JSON.parse(formatMoveLine(describeOutcome(ORDER, outcome))), { ...ORDER, ...line })
  })

test('is one line, in which a terminal obeys nothing', () => {
  const text = formatMoveLine({ event: 'note', message: 'a\nb\u009b\u202e' })
  assert.doesNotMatch(text, /[\p{Cc}\p{Cf}]/u)
  assert.deepEqual(JSON.parse(text), { event: 'note', message: 'a\nb\u009b\u202e' })
})
