import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createBucket, slowStartShare } from '../../../src/backend/admission/slow-start.ts'

describe('the share of a slow start', () => {
  test('begins at ten logins a second, and ends at all', () => {
    assert.equal(slowStartShare(0, 10_000, 1000) * 1000, 10)
    assert.equal(slowStartShare(10_000, 10_000, 1000), 1)
    assert.equal(slowStartShare(99_000, 10_000, 1000), 1)
  })

  test('begins at a tenth where ten a second are more than that', () => {
    assert.equal(slowStartShare(0, 10_000, 20), 0.1)
    assert.equal(slowStartShare(0, 10_000, 1), 0.1)
  })

  test('grows by the same factor each second', () => {
    const factors = [1, 2, 3, 4].map(
      (s) => slowStartShare(s * 1000, 5000, 500) / slowStartShare((s - 1) * 1000, 5000, 500),
    )
    for (const factor of factors) assert.ok(Math.abs(factor - (factors[0] ?? 0)) < 1e-9, String(factors))
  })

  test('never falls, and never leaves the room between nothing and all', () => {
    const ms = fc.integer({ min: 0, max: 600_000 })
    fc.assert(
      fc.property(
        ms,
        ms,
        fc.integer({ min: 1, max: 600_000 }),
        fc.integer({ min: 1, max: 100_000 }),
        (a, b, all, rate) => {
          const [early, late] = [Math.min(a, b), Math.max(a, b)].map((at) => slowStartShare(at, all, rate))
          assert.ok(early !== undefined && late !== undefined && early > 0 && early <= late && late <= 1)
        },
      ),
    )
  })
})

describe('the bucket', () => {
  const takeAll = (bucket: ReturnType<typeof createBucket>, perSecond: number, nowMs: number): number => {
    let taken = 0
    for (; bucket.has(perSecond, nowMs); taken++) bucket.take()
    return taken
  }

  test('lets a tenth of a second pass at once, and one at least', () => {
    assert.equal(takeAll(createBucket(0), 200, 0), 20)
    assert.equal(takeAll(createBucket(0), 3, 0), 1)
  })

  test('keeps no more than that for later', () => {
    const bucket = createBucket(0)
    takeAll(bucket, 200, 0)
    assert.equal(takeAll(bucket, 200, 3_600_000), 20)
  })

  test('lets one pass after a restart', () => {
    const bucket = createBucket(0)
    bucket.restart(5000)
    assert.equal(takeAll(bucket, 200, 5000), 1)
    assert.equal(takeAll(bucket, 200, 5010), 2)
  })

  test('does not run backwards with a clock that does', () => {
    const bucket = createBucket(1000)
    takeAll(bucket, 10, 1000)
    assert.equal(bucket.has(10, 0), false)
  })

  test('never lets more pass in any time than its rate and the burst, however often it is asked', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2000 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1 }),
        (rate, steps) => {
          const bucket = createBucket(0)
          let nowMs = 0
          let passed = 0
          for (const step of steps) {
            nowMs += step
            passed += takeAll(bucket, rate, nowMs)
            assert.ok(passed <= (nowMs / 1000) * rate + Math.max(1, rate / 10) + 1e-6)
          }
        },
      ),
    )
  })
})
