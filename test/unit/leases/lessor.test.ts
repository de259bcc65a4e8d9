/** Leases among the workers of one instance: together never over the limit, none is left waiting, and those of an ended worker return. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLessor, type Lessor } from '../../../src/leases/lessor.ts'
import { deliverAll, KEY, settled, Worker } from './scripted-worker.ts'

function openSite(limit: number, count: number) {
  let nowMs = 0
  const limits = new Map([[KEY, limit]])
  const lessor: Lessor = createLessor(
    () => limits,
    () => nowMs,
  )
  const workers = Array.from({ length: count }, () => new Worker())
  for (const { ask } of workers) lessor.join(ask)
  return {
    lessor,
    workers,
    used: () => workers.reduce((sum, { used }) => sum + used, 0),
    pass: (ms: number) => (nowMs += ms),
    setLimit: (changed: number) => limits.set(KEY, changed),
    /** The process of this worker ends, and another one takes its place. */
    restart: (index: number): void => {
      const old = workers[index]
      if (!old) return
      const next = new Worker()
      workers[index] = next
      for (const { fail } of old.inbox) fail(new Error('ended'))
      lessor.leave(old.ask)
      lessor.join(next.ask)
    },
  }
}

test('lends all of the limit to one worker of four', async () => {
  const { lessor, workers, used } = openSite(100, 4)
  const [busy] = workers
  assert.ok(busy)
  lessor.renew()
  await deliverAll(workers)
  assert.deepEqual(
    workers.map(({ cap }) => cap),
    [25, 25, 25, 25],
  )
  busy.waiting = 150
  lessor.renew(busy.ask)
  await deliverAll(workers)
  assert.deepEqual([busy.used, busy.waiting, used()], [100, 50, 100])
})

test('takes back what a worker does not use, as soon as another one is short', async () => {
  const { lessor, workers } = openSite(10, 2)
  const [first, second] = workers
  assert.ok(first && second)
  first.waiting = 10
  lessor.renew()
  await deliverAll(workers)
  assert.equal(first.used, 10)
  first.used = 0
  second.waiting = 8
  lessor.renew()
  await deliverAll(workers)
  assert.equal(second.used, 8)
})

test('lends what an ended worker had', async () => {
  const { lessor, workers, restart } = openSite(4, 2)
  const [first, second] = workers
  assert.ok(first && second)
  first.waiting = 4
  lessor.renew()
  await deliverAll(workers)
  second.waiting = 4
  lessor.renew()
  await deliverAll(workers)
  assert.deepEqual([first.used, second.used], [4, 0])
  restart(0)
  lessor.renew()
  await deliverAll(workers)
  assert.equal(second.used, 4)
})

test('does not lend what a worker has that gives no answer', async () => {
  const { lessor, workers } = openSite(4, 2)
  const [first, second] = workers
  assert.ok(first && second)
  first.waiting = 4
  lessor.renew()
  await deliverAll(workers)
  second.waiting = 4
  for (let count = 0; count < 5; count++) {
    lessor.renew()
    second.deliver()
    first.inbox.at(-1)?.fail(new Error('no answer'))
    await settled()
  }
  assert.equal(second.used, 0)
})

test('leaves the sessions over a lower limit, and admits none until they are under it', async () => {
  const { lessor, workers, used, setLimit } = openSite(10, 2)
  for (const worker of workers) worker.waiting = 7
  lessor.renew()
  await deliverAll(workers)
  assert.equal(used(), 10)
  setLimit(4)
  lessor.renew()
  await deliverAll(workers)
  assert.equal(used(), 10)
  for (let left = 10; left > 4; left--) {
    const [worker] = workers.filter((one) => one.used > 0)
    assert.ok(worker)
    worker.used--
    worker.admit()
    lessor.renew()
    await deliverAll(workers)
    assert.equal(used(), left - 1)
  }
  assert.ok(workers.every(({ waiting }) => waiting > 0))
})

test('is short only while something waits', async () => {
  const { lessor, workers, setLimit } = openSite(4, 2)
  const [first] = workers
  assert.ok(first)
  first.waiting = 4
  lessor.renew()
  await deliverAll(workers)
  setLimit(2)
  lessor.renew()
  await deliverAll(workers)
  assert.equal(lessor.isShort(), false)
  first.waiting = 1
  lessor.renew()
  await deliverAll(workers)
  assert.equal(lessor.isShort(), true)
  assert.deepEqual(lessor.total(KEY), { held: 4, used: 4, need: 5 })
})

const EVENTS = [
  'come',
  'come',
  'leave',
  'deliver',
  'deliver',
  'deliver',
  'time out',
  'restart',
  'renew',
  'pass',
] as const
const event = fc.tuple(fc.constantFrom(...EVENTS), fc.nat(1000))

test('no order of events breaks a limit, and none who waits is forgotten', async () => {
  const site = fc.record({ limit: fc.integer({ min: 1, max: 12 }), count: fc.integer({ min: 1, max: 5 }) })
  await fc.assert(
    fc.asyncProperty(site, fc.array(event, { maxLength: 150 }), async ({ limit, count }, events) => {
      const { lessor, workers, used, pass, restart } = openSite(limit, count)
      for (const [what, pick] of events) {
        const worker = workers[pick % count]
        assert.ok(worker)
        if (what === 'come') {
          worker.waiting += pick % 4
          worker.admit()
          if (worker.waiting > 0) lessor.renew(worker.ask)
        }
        if (what === 'leave' && worker.used > 0) {
          worker.used--
          worker.admit()
        }
        if (what === 'deliver') worker.deliver()
        // It stays on the way, and is delivered after the sender has sent the next one.
        if (what === 'time out') worker.inbox.at(-1)?.fail(new Error('no answer in time'))
        if (what === 'restart' && pick % 5 === 0) restart(pick % count)
        if (what === 'renew') lessor.renew()
        if (what === 'pass') pass(pick)
        await settled()
        assert.ok(used() <= limit, `${used()} of ${limit} after ${what}`)
        assert.ok(lessor.total(KEY).held <= limit)
      }
      // Sessions end one after another. All that wait are admitted.
      for (let round = 0; workers.some(({ waiting }) => waiting > 0); round++) {
        assert.ok(round < 3000, JSON.stringify(workers.map(({ used: has, waiting }) => ({ has, waiting }))))
        pass(100)
        lessor.renew()
        await deliverAll(workers)
        assert.ok(used() <= limit)
        const ending = workers[round % count]
        if (ending && ending.used > 0) ending.used--
        ending?.admit()
      }
      // The whole limit is of use to any one of them afterwards.
      for (const worker of workers) worker.used = 0
      const last = workers.at(-1)
      assert.ok(last)
      last.waiting = limit
      for (let round = 0; round < 3; round++) {
        lessor.renew()
        await deliverAll(workers)
      }
      assert.equal(last.used, limit)
    }),
    { numRuns: 300 },
  )
})
