/** What a back end that was down is given when it is back. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Slot } from '../../../src/backend/admission/slot.ts'
import { openGates, statesOf } from './admission-fixture.ts'

/** Lets everybody log in at once who is let in, and tells how many those were in each second. */
async function crowd(gates: ReturnType<typeof openGates>, size: number, seconds: number): Promise<number[]> {
  const comers = Array.from({ length: size }, () => gates.come({ waitMs: 600_000 }))
  let entered = 0
  const enter = (slot: Slot): void => {
    entered++
    slot.release()
  }
  for (const { slot } of comers) void slot.then(enter, () => undefined)
  const perSecond: number[] = []
  for (let second = 0; second < seconds; second++) {
    const before = entered
    for (let step = 0; step < 20; step++) {
      gates.pass(50)
      await new Promise(setImmediate) // those who are in give their place back
    }
    perSecond.push(entered - before)
  }
  return perSecond
}

describe('after a recovery', () => {
  test('logins come slowly at first, and each second by the same factor faster', async () => {
    const gates = openGates({ limits: { waitMs: 300_000 } })
    gates.admissions.recovered('store-1', 1000)
    const perSecond = await crowd(gates, 1500, 9)
    assert.ok((perSecond[0] ?? 0) >= 10 && (perSecond[0] ?? 0) <= 15, String(perSecond))
    for (let second = 1; second < 9; second++) {
      const factor = (perSecond[second] ?? 0) / (perSecond[second - 1] ?? 0)
      assert.ok(factor > 1.3 && factor < 1.9, String(perSecond)) // 100 ** (1 / 10) is 1.58
    }
  })

  test('the rate of its own is where it ends', async () => {
    const gates = openGates({ limits: { waitMs: 300_000, loginsPerSecond: 50 }, slowStartMs: 4000 })
    gates.admissions.recovered('store-1', 1000)
    const perSecond = await crowd(gates, 400, 8)
    assert.ok((perSecond[0] ?? 0) <= 8, String(perSecond))
    for (const rate of perSecond.slice(4)) assert.ok(rate >= 49 && rate <= 51, String(perSecond))
  })

  test('few are under way at once at first', async () => {
    const gates = openGates({ limits: { waitMs: 300_000, logins: 100, loginsPerSecond: 1000 } })
    gates.admissions.recovered('store-1', 1000)
    const comers = Array.from({ length: 300 }, () => gates.come({ waitMs: 600_000 }))
    const entered = async (): Promise<number> => (await statesOf(comers)).filter((state) => state === 'in').length
    gates.pass(1000)
    assert.equal(await entered(), Math.floor(100 * 0.01 ** 0.9)) // none has come to an end
    gates.pass(4000)
    assert.equal(await entered(), Math.floor(100 * 0.01 ** 0.5))
    gates.pass(100_000)
    assert.equal(await entered(), 100)
  })

  test('slow start lasts as long as logins are queued', async () => {
    const gates = openGates({ limits: { waitMs: 300_000, logins: 50 }, slowStartMs: 1000 })
    gates.admissions.recovered('store-1', 1000)
    const perSecond = await crowd(gates, 400, 10)
    for (const rate of perSecond) assert.ok(rate <= 56, String(perSecond))
    assert.equal(
      perSecond.reduce((sum, rate) => sum + rate),
      400,
    )
    assert.equal(gates.facts()?.slowStart, undefined)
  })

  test('it ends without logins too, and stops its timer', () => {
    const gates = openGates()
    gates.admissions.recovered('store-1', 1000)
    assert.deepEqual(gates.facts()?.slowStart, { logins: 10, loginsPerSecond: 10 })
    gates.pass(9950)
    assert.equal(gates.isTicking(), true)
    gates.pass(50)
    assert.equal(gates.isTicking(), false)
    assert.equal(gates.facts()?.slowStart, undefined)
    assert.deepEqual(
      gates.lines.map(({ level, message, ms }) => [level, message, ms]),
      [
        ['info', 'slow start', 10_000],
        ['info', 'slow start over', 10_000],
      ],
    )
  })

  test('a second one begins anew', () => {
    const gates = openGates()
    gates.admissions.recovered('store-1', 1000)
    gates.pass(6000)
    gates.admissions.recovered('store-1', 1000)
    assert.deepEqual(gates.facts()?.slowStart, { logins: 10, loginsPerSecond: 10 })
  })

  test('it begins once for an outage: the later return of another protocol does not begin it again', () => {
    const gates = openGates()
    gates.admissions.recovered('store-1', 5000)
    gates.pass(60_000)
    gates.admissions.recovered('store-1', 65_000)
    assert.equal(gates.facts()?.slowStart, undefined)
    gates.admissions.recovered('store-1', 59_000)
    assert.ok(gates.facts()?.slowStart)
  })

  test('nothing is slow where slow_start is 0s, or at another back end', async () => {
    const gates = openGates({ slowStartMs: 0 })
    gates.admissions.recovered('store-1', 1000)
    gates.admissions.recovered('store-2', 1000)
    const comers = Array.from({ length: 100 }, () => gates.come())
    assert.deepEqual(new Set(await statesOf(comers)), new Set(['in']))
    assert.deepEqual([gates.isTicking(), gates.lines], [false, []])
  })

  test('nothing is slow after the start of the program', async () => {
    const gates = openGates()
    const comers = Array.from({ length: 100 }, () => gates.come())
    assert.deepEqual(new Set(await statesOf(comers)), new Set(['in']))
  })
})
