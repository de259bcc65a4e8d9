/** Rates: a burst, and then an even pace. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRates } from '../../../src/limits/rates.ts'

const RATE = { count: 5, perMs: 60_000 }

/** @returns takes one if it may, at this moment */
function start(most?: number) {
  let nowMs = 1000
  const rates = createRates(() => nowMs, most)
  return {
    at: (ms: number, key = 'a', rate = RATE): boolean => {
      nowMs = 1000 + ms
      if (rates.waitMs(key, rate) > 0) return false
      rates.take(key, rate)
      return true
    },
    waitMs: (key = 'a') => rates.waitMs(key, RATE),
  }
}

test('lets a burst through, and then one in each interval', () => {
  const { at, waitMs } = start()
  assert.deepEqual(
    [0, 0, 0, 0, 0, 0, 0].map((ms) => at(ms)),
    [true, true, true, true, true, false, false],
  )
  assert.equal(waitMs(), 12_000)
  assert.deepEqual(
    [11_999, 12_000, 12_000, 24_000].map((ms) => at(ms)),
    [false, true, false, true],
  )
  assert.deepEqual(
    [84_000, 84_000, 84_000, 84_000, 84_000, 84_000].map((ms) => at(ms)),
    [true, true, true, true, true, false],
  )
})

test('counts each key apart', () => {
  const { at } = start()
  for (let n = 0; n < 5; n++) at(0)
  assert.deepEqual([at(0), at(0, 'b')], [false, true])
})

test('never lets more through than a burst and the pace', () => {
  const moments = fc.array(fc.nat({ max: 5000 }), { maxLength: 200 })
  fc.assert(
    fc.property(moments, (steps) => {
      const { at } = start()
      const taken: number[] = []
      let ms = 0
      for (const step of steps) if (at((ms += step))) taken.push(ms)
      taken.forEach((from, first) => {
        for (let last = first; last < taken.length; last++) {
          const most = 5 + Math.floor(((taken[last] ?? 0) - from) / 12_000)
          assert.ok(last - first + 1 <= most, `${last - first + 1} in ${(taken[last] ?? 0) - from} ms`)
        }
      })
    }),
  )
})

test('remembers the keys that have come last', () => {
  const { at } = start(4)
  const once = { count: 1, perMs: 60_000 }
  for (const key of ['a', 'b', 'c', 'd', 'e']) assert.equal(at(0, key, once), true)
  assert.deepEqual([at(1, 'd', once), at(1, 'e', once), at(1, 'a', once)], [false, false, true])
})

test('a long rest earns no more than one burst', () => {
  const { at } = start()
  assert.equal(at(0), true)
  assert.deepEqual(
    Array.from({ length: 6 }, () => at(86_400_000)),
    [true, true, true, true, true, false],
  )
})
