import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom } from '../../support/random.ts'
import { fitTrend, risesOver } from '../../support/trend.ts'

/** @param noise as much up as down, at most */
function sample(slope: number, noise: number): [number, number][] {
  const random = createRandom(1)
  return Array.from({ length: 90 }, (_, at) => [at, 40 + slope * at + noise * (2 * random() - 1)])
}

test('the slope of a straight line is found exactly', () => {
  const { slope, error } = fitTrend(sample(0.25, 0))
  assert.ok(Math.abs(slope - 0.25) < 1e-9, String(slope))
  assert.ok(error < 1e-9, String(error))
})

test('a slow leak under noise is found', () => {
  const trend = fitTrend(sample(0.05, 2))
  assert.ok(Math.abs(trend.slope - 0.05) < 2 * trend.error, JSON.stringify(trend))
  assert.ok(risesOver(trend, 0.01))
})

test('noise alone does not rise, nor does what rises no more than it may', () => {
  assert.equal(risesOver(fitTrend(sample(0, 2)), 0), false)
  assert.equal(risesOver(fitTrend(sample(0.05, 2)), 0.06), false)
})

test('too few points say nothing', () => {
  assert.equal(risesOver(fitTrend([]), 0), false)
  assert.equal(
    risesOver(
      fitTrend([
        [0, 0],
        [1, 100],
      ]),
      0,
    ),
    false,
  )
})
