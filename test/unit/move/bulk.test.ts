/** Many users, several at a time. In memory, with a virtual clock. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moveMany, type BulkParts, type BulkResult } from '../../../src/move/bulk.ts'
import type { MoveOrder, MoveOutcome } from '../../../src/move/move-user.ts'
import { formatProgress } from '../../../src/move/progress.ts'
import { seconds } from '../../../src/move/step.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const MOVED: MoveOutcome = { kind: 'moved', heldMs: 1 }
const FAILED: MoveOutcome = { kind: 'failed', step: 'final', why: 'exit 1', temporary: false, route: 'old' }

const orders: MoveOrder[] = Array.from({ length: 100 }, (_, index) => ({ user: `u${index}`, from: 'a', to: 'b' }))

/** @param outcomeOf of the user with this number */
async function run(
  outcomeOf: (index: number) => MoveOutcome,
  parts: Partial<BulkParts> = {},
): Promise<BulkResult & { most: number; begun: string[]; tookMs: number }> {
  const clock = createVirtualClock()
  const begun: string[] = []
  let running = 0
  let most = 0
  const result = await clock.drive(
    moveMany({
      orders,
      parallel: 20,
      stop: new AbortController().signal,
      async move({ user }) {
        begun.push(user)
        most = Math.max(most, ++running)
        const index = Number(user.slice(1))
        await clock.sleep(1000 + (index % 7))
        running--
        return outcomeOf(index)
      },
      onBegin: () => undefined,
      onEnd: () => undefined,
      ...parts,
    }),
  )
  return { ...result, most, begun, tookMs: clock.nowMs() }
}

test('moves each user once, and no more than so many at a time', async () => {
  const { most, begun, tookMs, ...result } = await run(() => MOVED)
  assert.deepEqual(result, { moved: 100, failed: 0, temporary: 0, notBegun: 0, gaveUp: false })
  assert.equal(most, 20)
  assert.equal(new Set(begun).size, 100)
  assert.ok(tookMs < 5100, String(tookMs))
})

test('goes on after a failure', async () => {
  const { moved, failed, notBegun } = await run((index) => (index % 4 === 0 ? FAILED : MOVED))
  assert.deepEqual({ moved, failed, notBegun }, { moved: 75, failed: 25, notBegun: 0 })
})

test('counts the failures that may pass by themselves', async () => {
  const later: MoveOutcome = { ...FAILED, temporary: true }
  const { failed, temporary } = await run((index) => (index % 4 === 0 ? FAILED : index % 4 === 2 ? later : MOVED))
  assert.deepEqual({ failed, temporary }, { failed: 50, temporary: 25 })
})

test('begins no further user after many failures in a row', async () => {
  const { failed, notBegun, gaveUp } = await run(() => FAILED, { parallel: 2 })
  assert.ok(gaveUp)
  assert.ok(failed >= 10 && failed <= 12, String(failed))
  assert.equal(notBegun, 100 - failed)
})

test('begins no further user after an interruption', async () => {
  const stop = new AbortController()
  const onBegin = (): void => stop.abort()
  const { moved, notBegun, begun } = await run(() => MOVED, { stop: stop.signal, onBegin })
  assert.equal(begun.length, 1)
  assert.deepEqual({ moved, notBegun }, { moved: 1, notBegun: 99 })
})

test('has nothing to do without users', async () => {
  assert.deepEqual((await run(() => MOVED, { orders: [] })).moved, 0)
})

const DURATIONS: readonly [number, string][] = [
  [0, '0 ms'],
  [12.3, '12 ms'],
  [99.4, '99 ms'],
  [99.6, '0.1 s'],
  [444, '0.4 s'],
  [10_400, '10 s'],
  [240_000, '4 min'],
  [6 * 3600_000, '6 h'],
]
for (const [ms, text] of DURATIONS) test(`writes ${ms} ms as ${text}`, () => assert.equal(seconds(ms), text))

test('shows the progress in one line', () => {
  assert.equal(
    formatProgress({ total: 300, moved: 118, failed: 2, running: 20, elapsedMs: 40_000 }),
    'moved 118 of 300 (40 %), 2 failed, 20 running, 3 a second, 60 s left',
  )
  assert.equal(
    formatProgress({ total: 300, moved: 0, failed: 0, running: 20, elapsedMs: 0 }),
    'moved 0 of 300 (0 %), 0 failed, 20 running, 0 a second',
  )
})
