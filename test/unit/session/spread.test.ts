/** Sessions that end over a window: at an even rate, those at rest first, and each once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSpread, turnsOf, windowMs, type Spreadable } from '../../../src/session/spread.ts'

type Ended = { id: string; why: string; atMs: number }

/** Ids as `sessions.ts` makes them. */
function sessions(count: number, isResting: (index: number) => boolean, note: (id: string, why: string) => void) {
  return Array.from({ length: count }, (_, index): Spreadable => {
    const id = `0badcafe-${index.toString(36)}`
    return { id, isResting: isResting(index), end: (why) => note(id, why) }
  })
}

/** Runs the sweep every 100 ms until `untilMs`. */
function run(count: number, overMs: number, isResting: (index: number) => boolean = () => true): Ended[] {
  let nowMs = 5000
  const ended: Ended[] = []
  const spread = createSpread(() => nowMs)
  const all = sessions(count, isResting, (id, why) => ended.push({ id, why, atMs: nowMs - 5000 }))
  spread.add(all, { why: 'drained', overMs, withinMs: 60_000 })
  for (let ms = 0; ms <= overMs; ms += 100) {
    nowMs = 5000 + ms
    spread.sweep()
  }
  assert.equal(spread.size, 0)
  return ended
}

test('ends 2,000 sessions over 20 s, in no second more than its share', () => {
  const ended = run(2000, 20_000)
  assert.equal(new Set(ended.map(({ id }) => id)).size, 2000)
  assert.ok(ended.every(({ why }) => why === 'drained'))
  const slots = Map.groupBy(ended, ({ atMs }) => Math.ceil(atMs / 100))
  assert.equal(slots.size, 200)
  // Ten in each tenth of a second. One that falls on the border of a slot counts in the next one.
  for (const [slot, inSlot] of slots) assert.ok(inSlot.length <= 11, `${inSlot.length} in slot ${slot}`)
})

test('ends the sessions at rest before the others, at the same rate', () => {
  const ended = run(1000, 10_000, (index) => index % 4 === 0)
  const resting = ended.filter(({ id }) => Number.parseInt(id.slice(9), 36) % 4 === 0)
  assert.deepEqual(ended.slice(0, 250), resting)
  assert.ok(resting.every(({ atMs }) => atMs <= 2500))
})

test('does not end the only session of each of many workers at the same moment', () => {
  const delays = Array.from({ length: 64 }, (_, worker) =>
    turnsOf([{ id: `${worker}-0`, isResting: true, end: () => undefined }], 6400).map(([, delayMs]) => delayMs),
  ).flat()
  const inTenths = Map.groupBy(delays, (delayMs) => Math.floor(delayMs / 640))
  assert.ok(inTenths.size >= 8)
  for (const [, some] of inTenths) assert.ok(some.length <= 16)
})

test('a session that is ordered to end twice ends once, at the earlier of its turns', () => {
  let nowMs = 0
  const ended: string[] = []
  const spread = createSpread(() => nowMs)
  const all = sessions(
    100,
    () => true,
    (id, why) => ended.push(`${id} ${why}`),
  )
  spread.add(all, { why: 'drained', overMs: 100_000, withinMs: undefined })
  spread.add(all, { why: 'kicked', overMs: 0, withinMs: undefined })
  spread.add(all, { why: 'drained', overMs: 100_000, withinMs: undefined })
  assert.equal(spread.size, 100)
  spread.sweep()
  nowMs = 200_000
  spread.sweep()
  assert.equal(ended.length, 100)
  assert.ok(ended.every((line) => line.endsWith(' kicked')))
})

test('keeps no session that has ended by itself', () => {
  const spread = createSpread(() => 0)
  const all = sessions(
    10,
    () => true,
    () => assert.fail('ended again'),
  )
  spread.add(all, { why: 'drained', overMs: 1000, withinMs: undefined })
  for (const session of all) spread.forget(session)
  assert.equal(spread.size, 0)
})

test('takes no longer than 20 sessions a second need, and no longer than is allowed', () => {
  assert.deepEqual(
    [windowMs(1, 10_000), windowMs(20, 10_000), windowMs(200, 10_000), windowMs(10_000, 10_000)],
    [50, 1000, 10_000, 10_000],
  )
  assert.equal(windowMs(10_000, 0), 0)
})
