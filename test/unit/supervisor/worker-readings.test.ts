/** The sums of what workers have counted never fall, however a worker ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { createRegistry, sumReadings, type Reading } from '../../../src/metrics/readings.ts'
import { createWorkerReadings } from '../../../src/supervisor/worker-readings.ts'

async function readingOf(logins: number): Promise<Reading> {
  const registry = createRegistry(() => 0)
  const metrics = createMetrics(registry)
  for (let count = 0; count < logins; count++) metrics.loginEnded('imap', 'PLAIN', 'accepted')
  return structuredClone(await registry.getMetricsAsJSON())
}

/** A worker that answers with so many logins, until it has ended. */
function open() {
  let logins: number | undefined = 0
  const worker = {
    number: 1,
    ask: () => (logins === undefined ? Promise.reject(new Error('it has ended')) : readingOf(logins)),
  }
  type Readings = ReturnType<typeof createWorkerReadings>
  const one = worker as unknown as Parameters<Readings['read']>[0]
  const workers = [one]
  const readings = createWorkerReadings(() => workers)
  const sum = async (): Promise<number> => {
    const text = await sumReadings(await readings.all()).metrics()
    return Number(/^mailmux_logins_total\{.*\} (\d+)$/m.exec(text)?.[1] ?? 0)
  }
  return { readings, one, sum, workers, set: (count: number | undefined) => void (logins = count) }
}

test('has what a worker tells at its end, which no reading has had', async () => {
  const { readings, one, sum, set } = open()
  set(2)
  assert.equal(await sum(), 2)
  set(undefined)
  readings.note(one, await readingOf(3))
  assert.equal(await sum(), 3)
})

test('counts a worker once that has told its end and is removed', async () => {
  const { readings, one, sum, workers, set } = open()
  set(2)
  assert.equal(await sum(), 2)
  workers.pop()
  readings.note(one, await readingOf(3))
  readings.bury(one)
  assert.equal(await sum(), 3)
})

test('keeps the last reading of a worker that crashes', async () => {
  const { readings, one, sum, set } = open()
  set(2)
  assert.equal(await sum(), 2)
  set(undefined)
  readings.bury(one)
  assert.equal(await sum(), 2)
})
