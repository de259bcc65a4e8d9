import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRefusalPace } from '../../../src/login/refusal-pace.ts'

test('waits for the configured delay where no back end has been slower', () => {
  const pace = createRefusalPace()
  assert.equal(pace.dueMs(2000), 2000)
  pace.observe(300)
  assert.equal(pace.dueMs(2000), 2000)
  assert.equal(pace.dueMs(0), 300)
})

test('follows the slowest, and not the last', () => {
  const pace = createRefusalPace()
  pace.observe(3000)
  assert.equal(pace.dueMs(2000), 3000)
  pace.observe(100)
  assert.ok(pace.dueMs(2000) > 2900)
  pace.observe(4000)
  assert.equal(pace.dueMs(2000), 4000)
})

test('drops a slow refusal after a hundred others', () => {
  const pace = createRefusalPace()
  pace.observe(8000)
  for (let i = 0; i < 100; i++) pace.observe(10)
  assert.ok(pace.dueMs(0) < 800 && pace.dueMs(0) > 700, String(pace.dueMs(0)))
})

test('limits the delay to 10 s, however slow a back end is', () => {
  const pace = createRefusalPace()
  pace.observe(60_000)
  assert.equal(pace.dueMs(2000), 10_000)
})

test('keeps a configured delay that is longer than that limit', () => {
  const pace = createRefusalPace()
  pace.observe(60_000)
  assert.equal(pace.dueMs(15_000), 15_000)
})

test('keeps a slow refusal while no other is observed', () => {
  const pace = createRefusalPace()
  pace.observe(5000)
  for (let i = 0; i < 1000; i++) assert.equal(pace.dueMs(0), 5000)
})

test('is never sooner than the least, nor than the refusal just seen up to the longest, nor later than the longest of both', () => {
  const times = fc.array(fc.double({ min: 0, max: 30_000, noNaN: true }), { minLength: 1, maxLength: 50 })
  fc.assert(
    fc.property(times, fc.integer({ min: 0, max: 20_000 }), (took, leastMs) => {
      const pace = createRefusalPace()
      for (const ms of took) {
        pace.observe(ms)
        const due = pace.dueMs(leastMs)
        assert.ok(due >= leastMs && due >= Math.min(ms, 10_000))
        assert.ok(due <= Math.max(leastMs, 10_000))
      }
    }),
  )
})

test('gives a made-up challenge one of the recent times of real ones, and none where there are none', () => {
  let random = 0
  const pace = createRefusalPace(() => random)
  assert.equal(pace.challengeMs(), 0)
  for (const ms of [10, 20, 30, 60_000]) pace.observeChallenge(ms)
  const times = [0, 0.3, 0.6, 0.99].map((value) => {
    random = value
    return pace.challengeMs()
  })
  assert.deepEqual(times, [10, 20, 30, 10_000])
})

test('drops the times of old challenges', () => {
  const pace = createRefusalPace(() => 0.999)
  for (let i = 0; i < 1000; i++) pace.observeChallenge(i < 900 ? 5000 : 10)
  for (let i = 0; i < 50; i++) assert.equal(pace.challengeMs(), 10)
})

test('lets a network wait alone for what a back end does to it alone, as a penalty for guessing', () => {
  const pace = createRefusalPace()
  pace.observe(300, '192.0.2.1')
  pace.observe(200, '192.0.2.2')
  for (let i = 0; i < 20; i++) pace.observe(9000, '192.0.2.66')
  assert.equal(pace.dueMs(0, '192.0.2.66'), 9000)
  for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) {
    const dueMs = pace.dueMs(0, address)
    assert.ok(dueMs <= 300 && dueMs > 290, `${address}: ${dueMs} ms`)
  }
})

test('follows what two networks have met, for all of them', () => {
  const pace = createRefusalPace()
  pace.observe(3000, '192.0.2.1')
  pace.observe(3000, '2001:db8::1')
  assert.ok(pace.dueMs(0, '198.51.100.1') > 2900)
})

test('follows the only network that was observed', () => {
  const pace = createRefusalPace()
  pace.observe(3000, '192.0.2.1')
  assert.equal(pace.dueMs(0, '198.51.100.1'), 3000)
})

test('keeps the times of a bounded number of networks, the slowest ones', () => {
  const pace = createRefusalPace()
  pace.observe(5000, '192.0.2.1')
  for (let i = 0; i < 1000; i++) pace.observe(10, `10.0.${i >> 8}.${i & 255}`)
  assert.ok(pace.dueMs(0, '192.0.2.1') <= 5000)
  assert.ok(pace.dueMs(0, '10.0.0.0') <= 10)
})

test('drops the fastest network when there are too many', () => {
  const pace = createRefusalPace()
  for (let i = 0; i < 64; i++) pace.observe(5000 + i, `10.0.0.${i}`)
  pace.observe(9000, '10.0.0.0')
  pace.observe(9500, '10.0.1.1')
  assert.equal(pace.dueMs(0, '198.51.100.1'), 9000)
})

test('makes no other network forgotten while the slowest one goes on', () => {
  const pace = createRefusalPace()
  pace.observe(3000, '192.0.2.1')
  pace.observe(5000, '192.0.2.2')
  for (let i = 0; i < 50; i++) pace.observe(9000, '192.0.2.3')
  assert.equal(pace.dueMs(0, '192.0.2.1'), 5000)
  // A refusal that is not the slowest makes each one forgotten, by 2.3 percent.
  pace.observe(10, '192.0.2.1')
  assert.equal(pace.dueMs(0, '192.0.2.2'), 5000 * 0.977)
})
