import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeOrders, planOrders } from '../../support/chaos-orders.ts'
import { planChaos } from '../../support/chaos-plan.ts'

const MS = 60_000

test('the same seed gives the same chaos, and another seed another', () => {
  assert.deepEqual(planChaos(7, MS), planChaos(7, MS))
  assert.notDeepEqual(planChaos(7, MS), planChaos(8, MS))
})

test('each target suffers, one blow at a time, and is left alone in the end', () => {
  for (let seed = 0; seed < 200; seed++) {
    for (const [target, blows] of Map.groupBy(planChaos(seed, MS), (blow) => blow.target)) {
      assert.ok(blows.length >= 2, `seed ${seed}: ${target} suffers ${blows.length} times`)
      for (const [index, { atMs, forMs }] of blows.entries()) {
        assert.ok(atMs + forMs <= (blows[index + 1]?.atMs ?? MS), `seed ${seed}: ${target} suffers twice at once`)
      }
    }
  }
})

test('every target and every harm comes up within a minute, in most minutes', () => {
  const seen = new Set(planChaos(1, MS).map(({ target, harm }) => `${harm} ${target}`))
  assert.ok(seen.size > 10, [...seen].join(', '))
})

test('orders follow from the seed, and lie one after the other in each lane', () => {
  assert.deepEqual(planOrders(7, MS), planOrders(7, MS))
  assert.notDeepEqual(planOrders(7, MS), planOrders(8, MS))
  for (let seed = 0; seed < 200; seed++) {
    for (const lane of planOrders(seed, MS)) {
      for (const [index, order] of lane.entries()) {
        const endMs = order.atMs + ('forMs' in order ? order.forMs : 0)
        assert.ok(endMs <= (lane[index + 1]?.atMs ?? MS), `seed ${seed}: ${describeOrders([lane])}`)
      }
    }
  }
})

test('each kind of order is given within a minute', () => {
  for (let seed = 0; seed < 200; seed++) {
    const kinds = new Set(planOrders(seed, MS).flatMap((lane) => lane.map(({ kind }) => kind)))
    assert.equal(kinds.size, 5, `seed ${seed}: ${[...kinds].join(', ')}`)
  }
})
