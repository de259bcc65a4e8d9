import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRunningClock, sleep, toEpochMs, watchStalls, type AlarmClock } from '../../src/clock.ts'

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

test('a stall is seen by whichever timer comes first after it, and for a second', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let now = 0
  const { hasStalled, stop } = watchStalls(() => now)
  t.after(stop)
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 500) {
      now += 500
      t.mock.timers.tick(500)
    }
  }
  pass(10_000)
  assert.equal(hasStalled(), false)
  now += 60_000
  assert.equal(hasStalled(), true) // before the tick
  t.mock.timers.tick(500)
  assert.equal(hasStalled(), true) // after it
  pass(500)
  assert.equal(hasStalled(), true)
  pass(1000)
  assert.equal(hasStalled(), false)
})

test('sleeps until its time, or until the signal is aborted, and leaves no timer then', async () => {
  const timers = new Set<() => void>()
  const clock: AlarmClock = {
    after(_ms, run) {
      timers.add(run)
      return { [Symbol.dispose]: () => void timers.delete(run) }
    },
  }
  const whole = sleep(clock, 1000)
  for (const run of timers) run()
  await whole
  assert.equal(timers.size, 0)
  const stop = new AbortController()
  const early = sleep(clock, 1000, stop.signal)
  assert.equal(timers.size, 1)
  stop.abort()
  await early
  await sleep(clock, 1000, stop.signal)
  assert.equal(timers.size, 0)
})
