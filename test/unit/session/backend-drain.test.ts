/** A back end that is drained: which of its sessions end, over which window, and which stay when the drain is taken back. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createBackendDrain, type DrainableSession } from '../../../src/session/backend-drain.ts'
import { createSpread, type SpreadOrder } from '../../../src/session/spread.ts'

type Fake = DrainableSession & { ended: string[] }

function session(id: string, backend: string, isRelaying = true): Fake {
  const ended: string[] = []
  return {
    id,
    relay: isRelaying ? {} : undefined,
    login: { backend },
    isResting: true,
    end: (why) => void ended.push(why),
    ended,
  }
}

function build(t: TestContext, running: Fake[]) {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let nowMs = 0
  const orders: SpreadOrder[] = []
  const spread = createSpread<Fake>(() => nowMs)
  const drain = createBackendDrain<Fake>({
    running: () => running,
    endOver(sessions, order) {
      orders.push(order)
      spread.add(sessions, order)
    },
    takeBack: (isMeant) => spread.takeBack(isMeant),
    endTimeoutMs: () => 60_000,
  })
  t.after(() => drain.close())
  /** the ids of the sessions that were told to end, once this time has passed */
  const endedAt = (ms: number): string[] => {
    nowMs = ms
    spread.sweep()
    return running.filter(({ ended }) => ended.length > 0).map(({ id }) => id)
  }
  return { drain, orders, endedAt, look: () => t.mock.timers.tick(1000) }
}

test('ends the sessions that relay to this back end, within 20 s, and no other', (t) => {
  const { drain, endedAt, orders } = build(t, [
    session('a', 'store1'),
    session('b', 'store2'),
    session('c', 'store1', false),
    session('d', 'store1'),
  ])
  drain.changed('store1', 'drain', undefined)
  assert.deepEqual(orders, [{ why: 'drained', overMs: 20_000, withinMs: 60_000 }])
  assert.deepEqual(endedAt(20_000), ['a', 'd'])
})

for (const [count, overMs, expectedMs] of [
  [1000, undefined, 60_000],
  [100, undefined, 20_000],
  [1000, 5000, 5000],
] as const) {
  test(`drains ${count} sessions over ${expectedMs} ms where the operator says ${String(overMs)}`, (t) => {
    const { drain, orders } = build(
      t,
      Array.from({ length: count }, (_, index) => session(`s-${index}`, 'store1')),
    )
    drain.changed('store1', 'drain', overMs)
    assert.deepEqual(
      orders.map((order) => order.overMs),
      [expectedMs],
    )
  })
}

test('a drain that is taken back keeps the sessions whose turn has not come', (t) => {
  const running = Array.from({ length: 10 }, (_, index) => session(`s-${index}`, 'store1'))
  const { drain, endedAt } = build(t, running)
  drain.changed('store1', 'drain', 10_000)
  const before = endedAt(5000)
  assert.equal(before.length, 5)
  drain.changed('store1', 'up', undefined)
  assert.deepEqual(endedAt(1_000_000), before)
})

test('a drain that is taken back does not stop the drain of another back end', (t) => {
  const { drain, endedAt } = build(t, [session('a', 'store1'), session('b', 'store2')])
  drain.changed('store1', 'drain', 10_000)
  drain.changed('store2', 'drain', 10_000)
  drain.changed('store1', 'up', undefined)
  assert.deepEqual(endedAt(10_000), ['b'])
})

test('another window takes the place of the first one', (t) => {
  const { drain, endedAt } = build(t, [session('a', 'store1')])
  drain.changed('store1', 'drain', 1000)
  drain.changed('store1', 'drain', 3_600_000)
  assert.deepEqual(endedAt(1000), [])
  assert.deepEqual(endedAt(3_600_000), ['a'])
})

test('a login that was under way when the drain began ends too, and each session is ordered once', (t) => {
  const running = [session('a', 'store1')]
  const { drain, look, orders, endedAt } = build(t, running)
  drain.changed('store1', 'drain', 10_000)
  running.push(session('late', 'store1'))
  look()
  look()
  assert.equal(orders.length, 2)
  assert.deepEqual(endedAt(30_000), ['a', 'late'])
  assert.deepEqual(
    running.map(({ ended }) => ended),
    [['drained'], ['drained']],
  )
})

test('a back end that is paused or down keeps its sessions', (t) => {
  const { drain, orders } = build(t, [session('a', 'store1')])
  for (const state of ['up', 'pause', 'down']) drain.changed('store1', state, undefined)
  assert.deepEqual(orders, [])
})
