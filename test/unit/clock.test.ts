import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRunningClock, toEpochMs } from '../../src/clock.ts'

test('gives a moment of the monotonic clock in milliseconds of the epoch, as the wall clock is now', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 5_000_000 })
  const now = performance.now()
  assert.ok(Math.abs(toEpochMs(now) - 5_000_000) < 1000)
  assert.ok(Math.abs(toEpochMs(now - 60_000) - 4_940_000) < 1000)
  assert.ok(Number.isInteger(toEpochMs(now)))
})

test('a running clock stands still while its process does', () => {
  let now = 100
  const running = createRunningClock(3000, () => now)
  const after = (ms: number): number => {
    now += ms
    return running()
  }
  assert.deepEqual([after(1000), after(1500), after(7_200_000), after(1000)], [1000, 2500, 5500, 6500])
})
