/** The runs of `mailmux move` that report to an instance: the list, the counts, and their bounds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MoveReport } from '../../../src/admin/move-routes.ts'
import { createMoves } from '../../../src/supervisor/moves.ts'

const REPORT: MoveReport = {
  by: 'mail1/7',
  total: 10,
  moved: 0,
  failed: 0,
  unknown: 0,
  running: 2,
  users: [{ user: 'ann@example.test', from: 'store1', to: 'store2', step: 'copy' }],
  isOver: false,
}

function open() {
  const clock = { nowMs: 1000 }
  const counted: string[] = []
  const moves = createMoves(
    (outcome, count) => counted.push(`${outcome} ${count}`),
    () => clock.nowMs,
  )
  return { clock, counted, moves }
}

test('lists a run as it was reported last, until it is over', () => {
  const { clock, moves } = open()
  moves.report('a1', REPORT)
  clock.nowMs += 5000
  moves.report('a1', { ...REPORT, moved: 3, running: 1 })
  const { isOver: _, ...facts } = REPORT
  assert.deepEqual(moves.list(), { moves: [{ run: 'a1', ...facts, moved: 3, running: 1, ageSeconds: 5 }] })
  assert.equal(moves.running(), 1)
  moves.report('a1', { ...REPORT, moved: 10, running: 0, isOver: true })
  assert.deepEqual([moves.list(), moves.running()], [{ moves: [] }, 0])
})

test('counts each outcome once, whatever reports are lost or arrive late', () => {
  const { counted, moves } = open()
  moves.report('a1', { ...REPORT, moved: 2 })
  moves.report('a1', { ...REPORT, moved: 2 })
  moves.report('a1', { ...REPORT, moved: 5, failed: 1, unknown: 1 })
  moves.report('b2', { ...REPORT, moved: 1 })
  moves.report('a1', { ...REPORT, moved: 8, failed: 1, unknown: 1, isOver: true })
  moves.report('a1', { ...REPORT, moved: 9 })
  assert.deepEqual(counted, ['moved 2', 'moved 3', 'failed 1', 'unknown 1', 'moved 1', 'moved 3'])
})

test('removes a run without reports for 30 s from the list', () => {
  const { clock, moves } = open()
  moves.report('a1', REPORT)
  clock.nowMs += 30_000
  assert.equal(moves.list().moves.length, 1)
  clock.nowMs += 1
  assert.deepEqual([moves.list(), moves.running()], [{ moves: [] }, 0])
})

test('takes no more runs than its bound, and others once those have ended', () => {
  const { clock, moves } = open()
  for (let index = 0; index < 50; index++) assert.ok(moves.report(`run${index}`, REPORT))
  assert.equal(moves.report('more', REPORT), false)
  assert.ok(moves.report('run7', { ...REPORT, moved: 1 }))
  clock.nowMs += 30_001
  assert.ok(moves.report('more', REPORT))
  assert.equal(moves.list().moves.length, 1)
})
