/** The sums of the status page and the charts of the last hour. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHistory } from '../../../src/metrics/history.ts'
import { createMetrics, type Metrics } from '../../../src/metrics/metrics.ts'
import { createRegistry } from '../../../src/metrics/readings.ts'
import { quantileMs, readWanted, sumUp } from '../../../src/metrics/sums.ts'

function open() {
  const registry = createRegistry(() => 7)
  const metrics = createMetrics(registry)
  const sums = async () => sumUp([structuredClone(await readWanted(registry))])
  return { registry, metrics, sums }
}

const login = (metrics: Metrics, ms: number, backend = 'store1') => {
  metrics.loginEnded('imap', 'PLAIN', 'accepted')
  metrics.loginTook('imap', backend, ms)
}

test('sums up what all processes have counted, and the worst of what they see', async () => {
  const { metrics, registry } = open()
  login(metrics, 30)
  login(metrics, 60_000, 'store2')
  for (const outcome of ['refused', 'disabled', 'unavailable', 'misconfigured'] as const)
    metrics.loginEnded('pop3', 'PLAIN', outcome)
  metrics.relayAccount('imap', 'store1')(10, 200)
  metrics.connectionRejected('client-http')
  metrics.limitHit('max_connections_per_client')
  metrics.directoryIsUp(true)
  metrics.watchConnections(() => ({ open: 3, max: 100 }))
  const one = structuredClone(await readWanted(registry))
  metrics.directoryIsUp(false)
  const other = structuredClone(await registry.getMetricsAsJSON())
  const sums = sumUp([one, other])
  assert.deepEqual(sums.logins, { accepted: 4, refused: 4, failed: 4 })
  assert.deepEqual([sums.bytesFromClient, sums.bytesFromBackend], [20, 400])
  assert.deepEqual([...sums.rejected], [['client-http', 2]])
  assert.deepEqual([...sums.limited], [['max_connections_per_client', 2]])
  assert.deepEqual([sums.connections, sums.connectionsMax, sums.logLinesDropped], [6, 200, 14])
  assert.equal(sums.directoryUp, false)
  assert.equal(sums.backends.get('store1')?.logins, 2)
  // 30 ms are in the bucket from 25 to 50 ms, and the last bucket has no bound.
  assert.deepEqual([sums.latency[5], sums.latency.at(-1)], [2, 2])
  assert.deepEqual([sums.latency[4], sums.backends.get('store2')?.latency.at(-1)], [0, 2])
  assert.equal(
    sums.latency.reduce((sum, count) => sum + count),
    4,
  )
})

test('reads a quantile linearly within its bucket', () => {
  const latency = new Float64Array(15)
  assert.equal(quantileMs(latency, 0.5), undefined)
  latency[5] = 10 // from 25 to 50 ms
  assert.equal(quantileMs(latency, 0.5), 37.5)
  latency[14] = 10 // over 30 s
  assert.equal(quantileMs(latency, 0.99), 30_000)
})

test('keeps rates between two samples, and null where nothing was measured', async () => {
  const { metrics, sums } = open()
  const history = createHistory()
  metrics.loginEnded('imap', 'PLAIN', 'accepted')
  history.add(await sums(), 0)
  assert.deepEqual(history.since(0), [], 'the first sums are those since the start')
  for (let count = 0; count < 10; count++) login(metrics, 30)
  metrics.relayAccount('imap', 'store1')(500, 1000)
  history.add(await sums(), 5000)
  history.add(await sums(), 10_000)
  const [first, second] = history.since(0)
  assert.deepEqual(
    [first?.number, first?.accepted, first?.bytesFromClient, first?.bytesFromBackend, first?.latencyP50Ms],
    [1, 2, 100, 200, 37.5],
  )
  assert.deepEqual([second?.number, second?.accepted, second?.latencyP99Ms, second?.atMs], [2, 0, null, 10_000])
  assert.deepEqual(history.since(1), [second])
  assert.deepEqual(history.since(2), [])
  assert.equal(history.since(99).length, 2, 'the caller has samples of a process before this one')
})

test('keeps the newest samples in a fixed number of places', async () => {
  const { sums } = open()
  const history = createHistory(3)
  const same = await sums()
  for (let count = 0; count <= 5; count++) history.add(same, count * 1000)
  assert.deepEqual(
    history.since(0).map(({ number, atMs }) => [number, atMs]),
    [
      [3, 3000],
      [4, 4000],
      [5, 5000],
    ],
  )
})

test('does not take a fallen counter for a negative rate', async () => {
  const busy = open()
  for (let count = 0; count < 10; count++) login(busy.metrics, 30)
  const history = createHistory()
  history.add(await busy.sums(), 0)
  history.add(await open().sums(), 1000)
  const [sample] = history.since(0)
  assert.deepEqual([sample?.accepted, sample?.latencyP50Ms], [0, null])
})
