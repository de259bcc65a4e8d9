/** The comparison of what stores saw with what operators ordered finds each fault, and none in a correct run. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Visit } from '../../support/chaos-record.ts'
import {
  type Allowance,
  calmMs,
  findDoubles,
  findKept,
  findStrays,
  findUncleared,
  type RouteChange,
  type Trouble,
} from '../../support/chaos-routes.ts'

const ALLOWANCE: Allowance = { loginMs: 100, endMs: 200, recoveryMs: 10, excuses: ['redis'] }
const END_MS = 10_000

const visit = (store: string, fromMs: number, toMs?: number): Visit => ({ user: 'ann', store, fromMs, toMs })
const change = (store: string | undefined, sentMs: number, ackedMs = sentMs): RouteChange => ({
  user: 'ann',
  store,
  sentMs,
  ackedMs,
})
const trouble = (target: Trouble['target'], fromMs: number, toMs: number): Trouble => ({ target, fromMs, toMs })

test('only the time in which no target is in trouble or recovers counts', () => {
  const troubles = [trouble('redis', 100, 200), trouble('store1', 150, 300), trouble('store2', 0, 1000)]
  const calm = (fromMs: number, toMs: number) => calmMs(fromMs, toMs, troubles, ['redis', 'store1'], 10)
  assert.equal(calm(0, 50), 50)
  assert.equal(calm(0, 400), 190)
  assert.equal(calm(160, 250), 0)
  assert.equal(calm(305, 320), 10)
  assert.equal(calm(50, 40), 0)
  assert.equal(calmMs(0, 500, [trouble('redis', 200, Infinity)], ['redis'], 10), 200)
})

describe('a user whose route is written', () => {
  const moved = [change('store1', 0), change('store2', 1000, 1020)]
  const strays = (visits: Visit[], changes = moved, troubles: Trouble[] = []) =>
    findStrays(visits, changes, troubles, ALLOWANCE, END_MS)

  test('may log in by either route while it changes, and at the old store for a moment more', () => {
    assert.deepEqual(
      strays([visit('store1', 500, 1100), visit('store2', 1005), visit('store1', 1110, 1120), visit('store2', 5000)]),
      [],
    )
  })

  test('must not log in at another store than that of the route', () => {
    assert.match(strays([visit('store3', 500, 510)]).join(), /did not name/)
    assert.match(strays([visit('store2', 900, 950)]).join(), /did not name/)
    assert.match(strays([visit('store1', 1200, 1210)]).join(), /did not name/)
  })

  test('must not stay at the old store, even until the end of the record', () => {
    assert.match(strays([visit('store1', 500, 1300)]).join(), /stayed/)
    assert.match(strays([visit('store1', 500)]).join(), /stayed/)
    assert.deepEqual(strays([visit('store1', 500)], [...moved, change('store1', 1150)]), [])
  })

  test('is excused while Redis or the store is in trouble, and by no other store', () => {
    for (const target of ['redis', 'store1'] as const)
      assert.deepEqual(strays([visit('store1', 500, 2000)], moved, [trouble(target, 1050, 1900)]), [])
    assert.equal(strays([visit('store1', 500, 2000)], moved, [trouble('store3', 1050, 1900)]).length, 1)
  })

  test('must not log in during a hold, and keeps the running session', () => {
    const held = [change('store1', 0), change(undefined, 1000), change('store1', 3000)]
    assert.deepEqual(strays([visit('store1', 500, 3500), visit('store1', 3001)], held), [])
    assert.match(strays([visit('store1', 1500, 1600)], held).join(), /did not name/)
  })
})

test('a session that outlasts a kick is found, and one that began after it is not', () => {
  const kicks = [{ user: 'ann', sentMs: 1000, answeredMs: 1050 }]
  const kept = (visits: Visit[]) => findKept(visits, kicks, [], ALLOWANCE, END_MS)
  assert.deepEqual(kept([visit('store1', 500, 1200), visit('store1', 950), visit('store1', 2000)]), [])
  assert.equal(kept([visit('store1', 500, 1300)]).length, 1)
  assert.equal(kept([visit('store1', 500)]).length, 1)
})

test('a user of a move who is at two stores is found, unless one of them is in trouble', () => {
  const doubles = (visits: Visit[], troubles: Trouble[] = []) => findDoubles(visits, ['ann'], troubles, ALLOWANCE)
  assert.equal(doubles([visit('store1', 0), visit('store2', 500, 800)]).length, 1)
  assert.equal(doubles([visit('store2', 500), visit('store1', 0, 900)]).length, 1)
  assert.deepEqual(doubles([visit('store1', 0, 600), visit('store1', 100, 500), visit('store2', 550)]), [])
  assert.deepEqual(doubles([visit('store1', 0, 900), visit('store2', 500)], [trouble('store1', 450, 880)]), [])
  assert.deepEqual(findDoubles([visit('store1', 0), visit('store2', 500)], ['bob'], [], ALLOWANCE), [])
})

test('a session at the old store during the last copy is found', () => {
  const during = (visits: Visit[], troubles: Trouble[] = []) =>
    findUncleared(visits, [{ user: 'ann', store: 'store1', fromMs: 1000, toMs: 3000 }], troubles, ALLOWANCE)
  assert.equal(during([visit('store1', 500)]).length, 1)
  assert.equal(during([visit('store1', 2000, 2300)]).length, 1)
  assert.deepEqual(during([visit('store1', 500, 1100), visit('store2', 500), visit('store1', 3001)]), [])
  assert.deepEqual(during([visit('store1', 500, 2000)], [trouble('store1', 1100, 1990)]), [])
  assert.deepEqual(
    findUncleared([visit('store1', 0)], [{ user: 'ann', store: 'store1', fromMs: Infinity, toMs: 9 }], [], ALLOWANCE),
    [],
  )
})
