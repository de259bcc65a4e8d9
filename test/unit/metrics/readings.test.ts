/** The metrics of all processes of one mailmux in one scrape. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { addToPast, createRegistry, sumReadings, type Reading } from '../../../src/metrics/readings.ts'

async function read(record: (metrics: ReturnType<typeof createMetrics>) => void): Promise<Reading> {
  const registry = createRegistry(() => 0)
  const metrics = createMetrics(registry)
  record(metrics)
  return structuredClone(await registry.getMetricsAsJSON()) // as it comes from another process
}

async function valueOf(series: string, readings: readonly Reading[]): Promise<number | undefined> {
  const line = (await sumReadings(readings).metrics()).split('\n').find((text) => text.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

const LOGINS = 'mailmux_logins_total{protocol="imap",mechanism="PLAIN",outcome="accepted"}'

test('adds counters, histograms and what is under way', async () => {
  const busy = await read((metrics) => {
    metrics.loginEnded('imap', 'PLAIN', 'accepted')
    metrics.loginTook('imap', 'store1', 30)
    metrics.sessionStarted('imap', 'store1')
  })
  const idle = await read(() => undefined)
  assert.equal(await valueOf(LOGINS, [busy, busy, idle]), 2)
  const bucket = 'mailmux_login_duration_seconds_bucket{le="0.05",protocol="imap",backend="store1"}'
  assert.equal(await valueOf(bucket, [busy, busy]), 2)
  assert.equal(await valueOf('mailmux_sessions{protocol="imap",backend="store1"}', [busy, busy]), 2)
})

test('shows the worst value of all workers', async () => {
  const well = await read((metrics) => {
    metrics.directoryIsUp(true)
    metrics.backendIsUp('store1', true)
    metrics.backendAddresses('store1', 'imap', { up: 2, down: 0 })
  })
  const ill = await read((metrics) => {
    metrics.directoryIsUp(false)
    metrics.backendIsUp('store1', false)
    metrics.backendAddresses('store1', 'imap', { up: 1, down: 1 })
  })
  for (const readings of [
    [well, ill],
    [ill, well],
  ]) {
    assert.equal(await valueOf('mailmux_directory_up', readings), 0)
    assert.equal(await valueOf('mailmux_backend_up{backend="store1"}', readings), 0)
    const down = 'mailmux_backend_addresses{backend="store1",protocol="imap",state="down"}'
    assert.equal(await valueOf(down, readings), 1)
  }
  assert.equal(await valueOf('mailmux_directory_up', [well, well]), 1)
})

test('keeps the counters of ended workers, and drops their gauges', async () => {
  const ended = await read((metrics) => {
    metrics.loginEnded('imap', 'PLAIN', 'accepted')
    metrics.loginTook('imap', 'store1', 30)
    metrics.sessionStarted('imap', 'store1')
    metrics.directoryIsUp(false)
  })
  const past = await addToPast(await addToPast([], ended), ended)
  const alive = await read((metrics) => metrics.directoryIsUp(true))
  assert.equal(await valueOf(LOGINS, [past, alive]), 2)
  assert.equal(await valueOf('mailmux_login_duration_seconds_count{protocol="imap",backend="store1"}', [past]), 2)
  assert.equal(await valueOf('mailmux_sessions{protocol="imap",backend="store1"}', [past, alive]), undefined)
  assert.equal(await valueOf('mailmux_directory_up', [past, alive]), 1)
})

test('has the runtime of all processes: sums of what they use, the worst of what they suffer', async () => {
  const one = await read(() => undefined)
  const text = await sumReadings([one, one]).metrics()
  for (const series of ['process_start_time_seconds', 'nodejs_eventloop_lag_p99_seconds', 'process_open_fds'])
    assert.match(text, new RegExp(`^${series} `, 'm'))
  const cpu = one.find(({ name }) => name === 'process_cpu_seconds_total')?.values[0]?.value ?? 0
  assert.ok(Math.abs(((await valueOf('process_cpu_seconds_total', [one, one])) ?? 0) - 2 * cpu) < 1e-9)
})

test('has the share of descriptors of the fullest process, and not of all together', async () => {
  const name = 'mailmux_descriptors_used_ratio'
  const real = await read(() => undefined)
  const used = await valueOf(name, [real])
  assert.ok(used !== undefined && used > 0 && used < 1, `${used}`)
  const withShare = (value: number) =>
    real.map((metric) => (metric.name === name ? { ...metric, values: [{ value, labels: {} }] } : metric))
  assert.equal(await valueOf(name, [withShare(0.1), withShare(0.95), withShare(0.2)]), 0.95)
  assert.equal(await valueOf(name, [real.filter((metric) => metric.name !== name)]), undefined)
})

test('has the oldest snapshot of all workers, and none without a snapshot file', async () => {
  const series = 'mailmux_snapshot_complete_timestamp_seconds'
  const none = await read(() => undefined)
  assert.equal(await valueOf(series, [none, none]), undefined)
  const [old, fresh] = [
    await read((metrics) => metrics.snapshotIsComplete(1_800_000_000_000)),
    await read((metrics) => metrics.snapshotIsComplete(1_800_000_030_000)),
  ]
  assert.equal(await valueOf(series, [fresh, old, none]), 1_800_000_000)
  const replaced = await read((metrics) => {
    metrics.snapshotIsComplete(1_800_000_000_000)
    metrics.snapshotIsComplete(undefined)
  })
  assert.equal(await valueOf(series, [replaced, fresh]), 1_800_000_030)
})
