/** How soon a worker that has ended is started again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBackOff } from '../../../src/supervisor/back-off.ts'

const repeat = (times: number, life: { livedMs: number; served: boolean }): number[] => {
  const next = createBackOff()
  return Array.from({ length: times }, () => next(life))
}

test('replaces a worker that has served for a second at once, every time', () => {
  assert.deepEqual(repeat(20, { livedMs: 1000, served: true }), Array<number>(20).fill(0))
})

test('replaces one that has served for less later each time, but within a second', () => {
  const waits = repeat(17, { livedMs: 400, served: true })
  assert.deepEqual(waits.slice(0, 7), [0, 100, 200, 400, 800, 1000, 1000])
  assert.ok(waits.every((ms) => ms <= 1000))
})

test('starts one that never comes to serve later each time, but within 5 seconds', () => {
  assert.deepEqual(repeat(10, { livedMs: 2000, served: false }), [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000])
})

test('counts the ends from zero again once a worker has served for a second', () => {
  const next = createBackOff()
  for (let ends = 0; ends < 9; ends++) next({ livedMs: 10, served: false })
  assert.equal(next({ livedMs: 1000, served: true }), 0)
  assert.equal(next({ livedMs: 10, served: false }), 100)
})

test('a thousand ends in a row are no overflow', () => {
  assert.equal(repeat(2000, { livedMs: 0, served: false }).at(-1), 5000)
})
