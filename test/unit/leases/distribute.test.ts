/** The division of a limit: it is never exceeded, nothing is left over, and a holder that is short gets no less than another one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { distribute } from '../../../src/leases/distribute.ts'

const enough = (...needs: number[]) => needs.map((need) => ({ need, used: 0 }))
const sum = (parts: readonly number[]): number => parts.reduce((a, b) => a + b, 0)

test('divides a limit that nobody needs equally', () => {
  assert.deepEqual(distribute(100, enough(0, 0, 0, 0), 0), [25, 25, 25, 25])
  assert.deepEqual(distribute(10, enough(0, 0, 0), 0), [4, 3, 3])
})

test('gives a busy holder what it needs before the rest is divided', () => {
  assert.deepEqual(distribute(100, enough(80, 0, 0, 0), 0), [85, 5, 5, 5])
  assert.deepEqual(distribute(100, enough(97, 1, 1, 1), 0), [97, 1, 1, 1])
})

test('divides a limit that is too small such that small needs are met', () => {
  assert.deepEqual(distribute(100, enough(500, 500, 10, 0), 0), [45, 45, 10, 0])
})

test('gives what cannot be divided to the holder that uses least', () => {
  const using = (...used: number[]) => used.map((one) => ({ used: one, need: 9 }))
  assert.deepEqual(distribute(5, using(3, 2), 0), [2, 3])
  assert.deepEqual(distribute(1, using(1, 0, 1), 7), [0, 1, 0])
})

test('gives what cannot be divided to each of equal holders in turn', () => {
  const turns = [0, 1, 2, 3, 4, 5].map((turn) => distribute(1, enough(5, 5, 5), turn).indexOf(1))
  assert.deepEqual(new Set(turns.slice(0, 3)), new Set([0, 1, 2]))
  assert.deepEqual(turns.slice(3), turns.slice(0, 3))
})

test('gives nothing without a limit or without holders', () => {
  assert.deepEqual(distribute(0, enough(3, 4), 0), [0, 0])
  assert.deepEqual(distribute(5, [], 0), [])
})

test('never exceeds the limit, leaves nothing over, and is max-min fair', () => {
  const need = fc.record({ need: fc.nat(50), used: fc.nat(50) })
  fc.assert(
    fc.property(fc.nat(200), fc.array(need, { minLength: 1, maxLength: 9 }), fc.nat(), (limit, needs, turn) => {
      const parts = distribute(limit, needs, turn)
      assert.equal(sum(parts), limit)
      assert.ok(parts.every((part) => part >= 0 && Number.isInteger(part)))
      const isMet = (index: number): boolean => (parts[index] ?? 0) >= (needs[index]?.need ?? 0)
      for (const [index, part] of parts.entries())
        if (!isMet(index)) assert.ok(parts.every((other, at) => other <= part + 1 || (isMet(at) && other <= part)))
    }),
  )
})
