/** How soon a worker that has ended is started again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBackOff } from '../../../src/supervisor/back-off.ts'

test('starts again at once after the first end, then later each time, but not later than 30 seconds', () => {
  const next = createBackOff()
  const waits = Array.from({ length: 13 }, () => next(500))
  assert.deepEqual(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000])
})

test('forgets earlier ends once a worker has lived for a minute', () => {
  const next = createBackOff()
  for (let ends = 0; ends < 9; ends++) next(10)
  assert.equal(next(60_000), 0)
  assert.equal(next(59_999), 100)
})
