/** Waits of a move that end early. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolvesWithin } from '../../../src/move/step.ts'
import { systemClock } from '../../../src/move/system-clock.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

test('a wait that ends early leaves no timer, which would keep the command running', async () => {
  const before = timers()
  assert.equal(await resolvesWithin(systemClock, 60_000, Promise.resolve()), true)
  await assert.rejects(resolvesWithin(systemClock, 60_000, Promise.reject(new Error('no route'))), /no route/)
  assert.ok(timers() <= before, `${timers()} timers, and ${before} before`)
})

test('a wait ends at its deadline', async () => {
  const clock = createVirtualClock()
  assert.equal(await clock.drive(resolvesWithin(clock, 7000, new Promise(() => undefined))), false)
  assert.equal(clock.nowMs(), 7000)
})
