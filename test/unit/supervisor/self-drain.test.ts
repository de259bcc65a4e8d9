/** The drain of an instance by its own clock: the order of health check, ports and sessions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSelfDrain } from '../../../src/supervisor/self-drain.ts'
import { keepLog } from '../backend/fixture.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

function open(why?: string) {
  const { log } = keepLog()
  const clock = createVirtualClock()
  const stopped = Promise.withResolvers<undefined>()
  const seen = { orders: 0, stops: 0 }
  const drain = createSelfDrain({
    stop() {
      seen.stops++
      return stopped.promise
    },
    sessions: () => Promise.resolve(7),
    graceMs: () => 60_000,
    whyNotNow: () => why,
    onOrder: () => {
      seen.orders++
    },
    log,
    pass: clock.sleep,
  })
  return { drain, clock, stopped, seen }
}

test('ends the sessions only after the time that load balancers have', async () => {
  const { drain, clock, stopped, seen } = open()
  assert.deepEqual(await drain.status(), { state: 'serving', sessions: 7, withinMs: 60_000 })
  assert.deepEqual(await drain.order(5000), { state: 'accepting', sessions: 7, withinMs: 65_000 })
  assert.deepEqual(seen, { orders: 1, stops: 0 })
  await clock.pass(4999)
  assert.equal(seen.stops, 0)
  await clock.pass(1)
  assert.deepEqual([seen.stops, (await drain.status()).state], [1, 'ending'])
  stopped.resolve(undefined)
  await clock.pass(0)
  assert.deepEqual(await drain.status(), { state: 'drained', sessions: 0, withinMs: 65_000 })
})

test('a second order changes nothing', async () => {
  const { drain, seen } = open()
  await drain.order(5000)
  assert.deepEqual(await drain.order(0), { state: 'accepting', sessions: 7, withinMs: 65_000 })
  assert.deepEqual(seen, { orders: 1, stops: 0 })
})

test('a stop of the instance cuts the wait short, and stops the workers once', async () => {
  const { drain, clock, stopped, seen } = open()
  await drain.order(5000)
  const end = drain.end()
  await clock.pass(5000)
  assert.equal(seen.stops, 1)
  assert.equal(drain.end(), end)
  stopped.resolve(undefined)
  await end
})

test('refuses while the instance starts or is stopped', async () => {
  const { drain, seen } = open('starting')
  assert.deepEqual(await drain.order(0), { error: 'starting' })
  assert.deepEqual(seen, { orders: 0, stops: 0 })
})
