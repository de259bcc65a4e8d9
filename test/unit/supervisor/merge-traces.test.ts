/** The lines of a trace of many workers: one answer stays within what the command takes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergeTraces } from '../../../src/supervisor/merge-traces.ts'
import { MAX_HELD, MAX_TEXT_LENGTH } from '../../../src/trace/armed.ts'

test('an answer of many workers is bounded, and counts the lines that it leaves out', () => {
  const workers = Array.from({ length: 64 }, (_, worker) => {
    const lines = Array.from({ length: MAX_HELD }, (_, at) => ({
      atMs: 1_796_000_000_000 + at,
      session: '1f0c9a3e-4294967295',
      leg: 'from-backend' as const,
      text: '"'.repeat(MAX_TEXT_LENGTH),
    }))
    return { worker, told: { lines, dropped: 1 } }
  })
  const { lines, dropped } = mergeTraces(workers)
  assert.ok(JSON.stringify(lines).length < 10_000_000)
  assert.equal(lines.length + dropped, 64 * MAX_HELD + 64)
  assert.ok(lines.every(({ atMs }, at) => at === 0 || atMs >= (lines[at - 1]?.atMs ?? 0)))
})
