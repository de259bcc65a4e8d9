import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom } from '../../support/random.ts'
import { judge, type Sample, sumSeries } from '../../soak/steady-samples.ts'

/** Half an hour at 150 sessions a second, sampled every 15 s. @param over what is other than usual at that second */
function course(over: (seconds: number) => Partial<Sample> = () => ({})): Sample[] {
  const random = createRandom(1)
  const noise = (most: number) => most * (2 * random() - 1)
  return Array.from({ length: 120 }, (_, number) => {
    const seconds = 15 * (number + 1)
    return {
      seconds,
      residentMiB: 180 + noise(2),
      heapMiB: 35 + noise(10),
      livingMiB: 24 + noise(0.1),
      outsideMiB: 11 + noise(0.5),
      handles: 190 + Math.round(noise(15)),
      sessions: 70,
      served: 150 * seconds,
      delayMs: 4 + noise(2),
      waitedMs: 0,
      cpuSeconds: seconds / 3,
      ...over(seconds),
    }
  })
}

const WARM_SECONDS = 450
const faultsOf = (samples: Sample[]) => judge(samples, WARM_SECONDS).faults

test('what goes up and down but stays where it is has no faults', () => {
  const { faults, sessionsPerSecond, mostGrowthMiB, cpu } = judge(course(), WARM_SECONDS)
  assert.deepEqual(faults, [])
  assert.equal(Math.round(sessionsPerSecond), 150)
  assert.equal(mostGrowthMiB.toFixed(2), '0.15')
  assert.equal(cpu.toFixed(2), '0.33')
})

test('a byte that is left behind by each session is seen, in the heap as outside of it', () => {
  const leaked = (seconds: number) => (150 * seconds) / 2 ** 20
  assert.deepEqual(faultsOf(course((seconds) => ({ livingMiB: 24 + leaked(seconds) }))), ['the heap grows'])
  assert.deepEqual(faultsOf(course((seconds) => ({ outsideMiB: 11 + leaked(seconds) }))), [
    'memory outside of the heap grows',
  ])
})

test('a handle that is left behind every minute is seen', () => {
  const samples = course((seconds) => ({ handles: 190 + Math.floor(seconds / 60) }))
  assert.deepEqual(faultsOf(samples), ['handles are not given back'])
})

test('memory may grow while it is warm-up', () => {
  assert.deepEqual(faultsOf(course((seconds) => (seconds < WARM_SECONDS ? { livingMiB: seconds / 100 } : {}))), [])
})

test('an event loop that is late is seen, in the warm-up too', () => {
  const samples = course((seconds) => (seconds === 60 || seconds === 600 ? { delayMs: 20 } : {}))
  assert.deepEqual(faultsOf(samples), ['the event loop was late in 2 of 120 samples'])
})

test('a series is summed over its labels, and no other that begins like it', () => {
  const text = 'a_total{x="1"} 2\na_total{x="2"} 3\na_total_more 5\n# a_total 7\n'
  assert.equal(sumSeries(text, 'a_total'), 5)
  assert.equal(sumSeries('b 1.5e3\n', 'b'), 1500)
})
