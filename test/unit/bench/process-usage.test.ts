/** What was spent between two looks at a tree of processes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cpuBetween, type CpuReading } from '../../bench/process-usage.ts'

function reading(threads: Record<string, number>, over: Partial<CpuReading> = {}): CpuReading {
  const ms = Object.values(threads).reduce((sum, own) => sum + own, 0)
  const ns = new Map(Object.entries(threads).map(([thread, own]) => [thread, own * 1e6]))
  return { threads: ns, userMs: ms, systemMs: 0, endedMs: 0, processes: 2, ...over }
}

test('is the nanoseconds of all threads while nothing ends, the busiest process apart', () => {
  const spent = cpuBetween(reading({ '1/1': 100, '2/2': 50 }), reading({ '1/1': 107, '2/2': 60, '2/3': 5 }))
  assert.deepEqual([spent.ms, spent.busiestMs, spent.source], [22, 15, 'schedstat'])
})

test('is the ticks when a thread has ended, which they remember', () => {
  const spent = cpuBetween(reading({ '1/1': 100, '1/2': 50 }), reading({ '1/1': 110 }, { userMs: 170 }))
  assert.deepEqual([spent.ms, spent.source], [20, 'stat'])
})

test('is the ticks when children have come and gone', () => {
  const after = reading({ '1/1': 100 }, { userMs: 600, endedMs: 500 })
  assert.deepEqual(cpuBetween(reading({ '1/1': 100 }), after).ms, 500)
})

test('is the ticks when a thread has come and gone between the two looks', () => {
  const spent = cpuBetween(reading({ '1/1': 100 }), reading({ '1/1': 110 }, { userMs: 300 }))
  assert.deepEqual([spent.ms, spent.source], [200, 'stat'])
})

test('is the nanoseconds where the ticks are merely coarse', () => {
  const spent = cpuBetween(reading({ '1/1': 100 }), reading({ '1/1': 110 }, { userMs: 150 }))
  assert.deepEqual([spent.ms, spent.source], [10, 'schedstat'])
})
