import assert from 'node:assert/strict'
import { test } from 'node:test'
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
