/** A table that a flood of keys neither grows nor slows down. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BoundedTable } from '../../../src/limits/bounded-table.ts'

test('has the last half of its size for certain, and never more than its size', () => {
  const table = new BoundedTable<number>(100)
  for (let n = 0; n < 10_000; n++) {
    table.set(`key ${n}`, n)
    assert.ok(table.size <= 100)
    assert.equal(table.get(`key ${Math.max(0, n - 49)}`), Math.max(0, n - 49))
  }
  assert.equal(table.get('key 9000'), undefined)
})

test('keeps a key that is set again and again', () => {
  const table = new BoundedTable<number>(10)
  for (let n = 0; n < 1000; n++) {
    table.set('guesser', n)
    table.set(`other ${n % 4}`, n)
    table.set(`new ${n}`, n)
  }
  assert.equal(table.get('guesser'), 999)
})

test('takes a million new keys in a moment', () => {
  // With one Map whose first key is deleted each time, this takes hours.
  const table = new BoundedTable<number>(100_000)
  for (let n = 0; n < 1_000_000; n++) table.set(`key ${n}`, n)
  assert.ok(table.size <= 100_000)
})

test('counts a key once that is set again after a generation', () => {
  const table = new BoundedTable<number>(4)
  for (const key of ['a', 'b', 'a']) table.set(key, 1)
  assert.equal(table.size, 2)
})
