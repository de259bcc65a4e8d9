import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogLimit } from '../../src/log-limit.ts'

function open() {
  const clock = { nowMs: 0 }
  return { clock, limit: createLogLimit<'a' | 'b'>(() => clock.nowMs) }
}

test('gives the first event a line, and the next one after a minute', () => {
  const { clock, limit } = open()
  assert.deepEqual(limit('a'), {})
  clock.nowMs = 59_999
  assert.equal(limit('a'), undefined)
  clock.nowMs = 60_000
  assert.deepEqual(limit('a'), { others: 1 })
})

test('counts the minute from the last line and not from the last event', () => {
  const { clock, limit } = open()
  const lines: number[] = []
  for (clock.nowMs = 0; clock.nowMs < 300_000; clock.nowMs += 1000) if (limit('a')) lines.push(clock.nowMs)
  assert.deepEqual(lines, [0, 60_000, 120_000, 180_000, 240_000])
})

test('reports the number of events without a line since the last line, and none if there were none', () => {
  const { clock, limit } = open()
  for (let event = 0; event < 1000; event++) limit('a')
  clock.nowMs = 60_000
  assert.deepEqual(limit('a'), { others: 999 })
  clock.nowMs = 120_000
  assert.deepEqual(limit('a'), {})
})

test('limits each key apart from the others', () => {
  const { clock, limit } = open()
  limit('a')
  limit('a')
  assert.deepEqual(limit('b'), {})
  clock.nowMs = 60_000
  assert.deepEqual(limit('b'), {})
  assert.deepEqual(limit('a'), { others: 1 })
})

test('gives the first event a line where the clock starts at any value', () => {
  assert.deepEqual(createLogLimit(() => 0)('x'), {})
  assert.deepEqual(createLogLimit(() => 1e9)('x'), {})
  assert.deepEqual(createLogLimit()('x'), {})
})
