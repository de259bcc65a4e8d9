/** Leases among instances: together never over the limit while they can agree, none is left waiting, and those of a dead instance return. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLessor } from '../../../src/leases/lessor.ts'
import { createSiteLeases, LEASE_MS, type LeaseStore } from '../../../src/leases/site-leases.ts'
import { MemoryLeases } from './memory-leases.ts'
import { deliverAll, KEY, settled, Worker } from './scripted-worker.ts'

type Fault = 'none' | 'unreachable' | 'no answer'

function openInstance(memory: MemoryLeases, id: string, limit: () => number, count = 2) {
  let fault: Fault = 'none'
  const causes: (string | undefined)[] = []
  const real = memory.storeOf(id)
  const store: LeaseStore = {
    async renew(key, request) {
      if (fault === 'unreachable') throw new Error('unreachable')
      const grant = await real.renew(key, request)
      if (fault === 'no answer') throw new Error('no answer')
      return grant
    },
    leave: (keys) => real.leave(keys),
  }
  const nowMs = (): number => memory.nowMs
  const lessor = createLessor(() => site.limits(), nowMs)
  const site = createSiteLeases({
    id,
    store,
    limits: () => new Map([[KEY, limit()]]),
    total: lessor.total,
    onResult: (cause) => causes.push(cause),
    nowMs,
  })
  const workers = Array.from({ length: count }, () => new Worker())
  for (const { ask } of workers) lessor.join(ask)
  return {
    id,
    workers,
    lessor,
    site,
    causes,
    setFault: (next: Fault) => (fault = next),
    used: () => workers.reduce((sum, { used }) => sum + used, 0),
    cap: () => site.limits().get(KEY) ?? 0,
    /** One look at the others, and everything that follows at the workers. */
    async look() {
      lessor.renew()
      await deliverAll(workers)
      await site.renew()
      lessor.renew()
      await deliverAll(workers)
    },
  }
}

type Instance = ReturnType<typeof openInstance>

function openSite(limit: number, count: number) {
  const memory = new MemoryLeases()
  const shared = { limit }
  const open = (id: string): Instance => openInstance(memory, id, () => shared.limit)
  const instances = Array.from({ length: count }, (_, index) => open(`i${index}`))
  return {
    memory,
    instances,
    open,
    used: () => instances.reduce((sum, one) => sum + one.used(), 0),
    setLimit: (changed: number) => (shared.limit = changed),
    /** @param rounds each a second */
    pass: async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round++) {
        memory.nowMs += 1000
        for (const one of instances) await one.look()
      }
    },
  }
}

test('divides a limit among idle instances, and lends nearly all of it to a busy one', async () => {
  const { instances, pass, used } = openSite(100, 4)
  await pass(4)
  assert.deepEqual(
    instances.map((one) => one.cap()),
    [25, 25, 25, 25],
  )
  const worker = instances[2]?.workers[0]
  assert.ok(worker)
  worker.waiting = 500
  await pass(4)
  assert.equal(used(), 100)
})

test('has the whole limit at once where no other instance is', async () => {
  const { instances, pass } = openSite(100, 1)
  const [only] = instances
  assert.ok(only)
  assert.equal(only.cap(), 0)
  await pass(1)
  assert.deepEqual([only.cap(), only.site.isShared()], [100, true])
})

test('gives the part of an instance that leaves to the others at once, and of one that dies after its expiry', async () => {
  for (const leaves of [true, false]) {
    const { instances, pass } = openSite(90, 3)
    await pass(4)
    const [gone] = instances.splice(0, 1)
    if (leaves) await gone?.site.leave()
    await pass(3)
    assert.deepEqual(
      instances.map((one) => one.cap()),
      leaves ? [45, 45] : [30, 30],
    )
    await pass(LEASE_MS / 1000 + 3)
    assert.deepEqual(
      instances.map((one) => one.cap()),
      [45, 45],
    )
  }
})

test('uses its part while the store is away, later the limit divided by the instances, and agrees again after that', async () => {
  const { instances, pass, memory } = openSite(90, 3)
  const [busy, ...idle] = instances
  const [worker] = busy?.workers ?? []
  assert.ok(busy && worker)
  worker.waiting = 80
  await pass(5)
  assert.deepEqual(
    instances.map((one) => one.used()),
    [80, 0, 0],
  )
  for (const one of instances) one.setFault('unreachable')
  await pass(10)
  const before = instances.map((one) => one.cap())
  assert.ok(before.reduce((a, b) => a + b) <= 90)
  assert.ok(instances.every((one) => one.site.isShared()))
  memory.nowMs += LEASE_MS
  await pass(1)
  // Fail open: less than the double of the limit.
  assert.deepEqual(
    instances.map((one) => one.cap()),
    [before[0], 30, 30],
  )
  assert.ok(instances.every((one) => !one.site.isShared() && one.causes.at(-1) === 'unreachable'))
  for (const one of idle) one.workers.forEach((two) => (two.waiting = 20))
  await pass(1)
  assert.deepEqual(
    instances.map((one) => one.used()),
    [80, 30, 30],
  )
  for (const one of instances) one.setFault('none')
  await pass(4)
  assert.ok(instances.every((one) => one.site.isShared() && one.causes.at(-1) === undefined))
  // Sessions over the limit stay. Until the sum is below it, none is admitted.
  worker.used = 25
  await pass(1)
  assert.deepEqual(
    instances.map((one) => one.used()),
    [25, 30, 30],
  )
  await pass(3)
  assert.equal(
    instances.reduce((sum, one) => sum + one.used(), 0),
    90,
  )
})

test('counts for itself where the store was never reached', async () => {
  const { instances, pass } = openSite(10, 1)
  const [only] = instances
  assert.ok(only)
  only.setFault('unreachable')
  await pass(1)
  assert.equal(only.cap(), 0)
  await pass(3)
  assert.equal(only.cap(), 10)
})

test('gives nothing away after a loss of data, until all have told what they hold', async () => {
  const { memory, instances, pass, used } = openSite(10, 2)
  for (const { workers } of instances) for (const worker of workers) worker.waiting = 5
  await pass(4)
  assert.equal(used(), 10)
  memory.lose()
  for (let round = 0; round < 6; round++) {
    await pass(1)
    assert.ok(used() <= 10)
  }
})

const EVENTS = ['come', 'come', 'leave', 'look', 'look', 'look', 'fault', 'pass', 'die', 'start', 'lose'] as const
const event = fc.tuple(fc.constantFrom(...EVENTS), fc.nat(1000))

test('no order of events breaks a limit, and none who waits is forgotten', async () => {
  const size = fc.record({ limit: fc.integer({ min: 1, max: 12 }), count: fc.integer({ min: 1, max: 4 }) })
  await fc.assert(
    fc.asyncProperty(size, fc.array(event, { maxLength: 100 }), async ({ limit, count }, events) => {
      const { memory, instances, used, pass, open } = openSite(limit, count)
      let births = 0
      /** Data is lost only when all can write what they hold before the next event. */
      const settle = async (): Promise<void> => {
        for (const one of instances) {
          one.setFault('none')
          await one.look()
        }
      }
      for (const [what, pick] of events) {
        const one = instances[pick % Math.max(1, instances.length)]
        const worker = one?.workers[pick % 2]
        if (what === 'come' && worker) {
          worker.waiting += pick % 4
          worker.admit()
        }
        if (what === 'leave' && worker && worker.used > 0) {
          worker.used--
          worker.admit()
        }
        if (what === 'look') await one?.look()
        if (what === 'fault') one?.setFault((['none', 'none', 'unreachable', 'no answer'] as const)[pick % 4] ?? 'none')
        // No part expires: an instance that cannot renew its part for so long may exceed the limit.
        if (what === 'pass') {
          memory.nowMs += pick
          for (const each of instances) if (memory.nowMs % 7 === 0) await each.look()
          if (memory.nowMs % 5 === 0) await settle()
        }
        if (what === 'die' && pick % 4 === 0) instances.splice(pick % Math.max(1, instances.length), 1)
        if (what === 'start' && pick % 4 === 0 && instances.length < 5) instances.push(open(`n${births++}`))
        if (what === 'lose' && pick % 4 === 0) {
          memory.lose()
          await settle()
        }
        await settled()
        if (instances.some(({ site }) => !site.isShared())) return
        assert.ok(used() <= limit, `${used()} of ${limit} after ${what}`)
      }
      for (const one of instances) one.setFault('none')
      memory.nowMs += LEASE_MS - 1000 // short of an expiry
      await pass(3)
      for (let round = 0; instances.some(({ workers }) => workers.some(({ waiting }) => waiting > 0)); round++) {
        assert.ok(
          round < 3000,
          JSON.stringify(instances.map(({ workers }) => workers.map((one) => [one.used, one.waiting]))),
        )
        await pass(1)
        const workers = instances.flatMap((one) => one.workers)
        const ending = workers[round % workers.length]
        if (ending && ending.used > 0) ending.used--
        ending?.admit()
      }
    }),
    { numRuns: 200 },
  )
})

/** One instance whose store answers when the test lets it. */
function openSlow(limit: number) {
  let nowMs = 1_000_000
  let requests = 0
  let answer = Promise.withResolvers<undefined>()
  const others = [{ id: 'b', used: 0, need: 0 }]
  const site = createSiteLeases({
    id: 'a',
    store: {
      async renew(_key, { held, want }) {
        requests++
        await answer.promise
        return { granted: Math.max(held, want), nowMs, others }
      },
      leave: () => Promise.resolve(),
    },
    limits: () => new Map([[KEY, limit]]),
    total: () => ({ held: 0, used: 0, need: 0 }),
    onResult: () => undefined,
    nowMs: () => nowMs,
  })
  return {
    site,
    pass: (ms: number) => void (nowMs += ms),
    letGo: () => answer.resolve(undefined),
    hold: () => void (answer = Promise.withResolvers<undefined>()),
    requests: () => requests,
    cap: () => site.limits().get(KEY),
  }
}

test('a part lasts from its request on, as it does in a store that answers late', async () => {
  const { site, pass, letGo } = openSlow(10)
  const renewed = site.renew()
  pass(10_000)
  letGo()
  await renewed
  pass(LEASE_MS - 10_000)
  assert.equal(site.isShared(), true)
  pass(1)
  assert.equal(site.isShared(), false)
})

test('one request for a part is under way at a time', async () => {
  const { site, letGo, requests } = openSlow(10)
  const both = [site.renew(), site.renew()]
  letGo()
  await Promise.all(both)
  assert.equal(requests(), 1)
})

test('without the store an instance has one of a limit that is smaller than the number of instances', async () => {
  const { site, pass, letGo, cap } = openSlow(1)
  letGo()
  await site.renew()
  await site.renew()
  pass(LEASE_MS + 1)
  assert.equal(cap(), 1)
})
