/** The figures of docs/scale.md that nobody measured. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ASSUMED, calculate, costOfHearing, costOfTelling, showNumber } from '../../soak/scale-arithmetic.ts'
import type { ScaleFigures } from '../../soak/scale-figures.ts'

const lookups = { lookups: 1, seconds: 1, p50Us: 1, p99Us: 1, maxUs: 1, cpuMs: 1, bySource: {} }

const measured: ScaleFigures = {
  redis: {
    routes: 1e6,
    loadSeconds: 1,
    bytesPerRoute: 120,
    bytesPerFullRoute: 160,
    residentBytesPerRoute: 2 ** 30 / 1e7,
  },
  memory: { cacheSize: 1e6, usersSeen: 1e6, freshKiB: 0, afterKiB: 0, heapBytesPerUser: 1024 },
  memoryOfAll: { cacheSize: 1e6, usersSeen: 1e6, freshKiB: 0, afterKiB: 0, heapBytesPerUser: 1024 },
  lookups: [{ title: 'cold', figures: lookups, redisCpuUs: 30 }],
  changes: [
    { perSecond: 1e5, changes: 1, cut: true, seconds: 1, cpuMs: 1000, lookups },
    { perSecond: 0, changes: 0, cut: false, seconds: 10, cpuMs: 200, lookups },
    { perSecond: 20_000, changes: 1, cut: false, seconds: 10, cpuMs: 800, lookups },
  ],
  tracking: [
    { instances: 64, redisCpuUsPerWrite: 14.8, bytesPerChange: 50 },
    { instances: 0, redisCpuUsPerWrite: 2, bytesPerChange: 0 },
  ],
  logins: [],
  costs: { cpuUsPerTlsLogin: 1000, kiBPerTlsSession: 63, freshKiB: 0 },
}

function resultOf(what: string, assumed = ASSUMED): number | undefined {
  return calculate(measured, assumed).find((line) => line.what === what)?.value
}

test('the cost of telling one more instance is the slope from none to the most', () => {
  const { alone, each } = costOfTelling(measured.tracking)
  assert.equal(alone, 2)
  assert.ok(Math.abs(each - 0.2) < 1e-9)
  assert.throws(() => costOfTelling(measured.tracking.slice(0, 1)))
})

test('the cost of hearing of a change is that of the highest rate that was kept up with', () => {
  assert.equal(costOfHearing(measured.changes), 3) // 80 - 20 ms in a second of 20,000
  assert.throws(() => costOfHearing(measured.changes.slice(0, 2)))
})

test('instances follow from the memory of sessions, or from the CPU of logins where that takes more', () => {
  // 10 million sessions of 64 KiB in 4 GiB each
  assert.equal(resultOf('instances, by the memory of sessions'), Math.ceil(1e7 / 65536))
  assert.equal(resultOf('instances'), Math.ceil(1e7 / 65536))
  // 16,667 logins a second of 1 ms on half a core
  assert.equal(resultOf('instances, by the CPU of logins'), 34)
  assert.equal(resultOf('instances', { ...ASSUMED, peak: 30 }), 334)
})

test('Redis masters follow from the memory of routes, or from what changes cost where that takes more', () => {
  assert.equal(resultOf('Redis masters, by memory'), 2) // 10 GiB in 8 GiB each
  assert.equal(resultOf('Redis masters, by changes and lookups too'), 2)
  // 100,000 changes a second × (2 + 153 × 0.2) µs, and 16,667 lookups of 30 µs, on half a core
  const instances = Math.ceil(1e7 / 65536)
  const busy = Math.ceil((1e5 * (2 + instances * 0.2) + (1e7 / 1800) * 3 * 30) / 1e6 / 0.5)
  assert.equal(resultOf('Redis masters, by changes and lookups too', { ...ASSUMED, changesPerSecond: 1e5 }), busy)
})

test('every line says how it was calculated', () => {
  for (const { what, formula, unit, value } of calculate(measured, ASSUMED)) {
    assert.ok(formula.length > 0 && unit.length > 0, what)
    assert.ok(Number.isFinite(value), what)
  }
})

test('numbers have three digits', () => {
  assert.deepEqual([0.04567, 12.345, 5555.6, 1e8].map(showNumber), ['0.0457', '12.3', '5,560', '100,000,000'])
})
