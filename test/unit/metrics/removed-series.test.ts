/** What a scrape shows after a reload has taken back ends and certificates out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Settings } from '../../../src/config/settings.ts'
import { createMetrics, type Metrics } from '../../../src/metrics/metrics.ts'
import { createRegistry, sumReadings, type Reading } from '../../../src/metrics/readings.ts'
import { createRemovedFilter } from '../../../src/metrics/removed-series.ts'
import { Secret } from '../../../src/secret.ts'
import { backendSettings } from '../backend/fixture.ts'

function settings(
  backends: readonly string[],
  certFiles: readonly string[],
  ports = { imap: 143, pop3: 110 },
): Settings {
  return {
    routing: { backends: new Map(backends.map((name) => [name, backendSettings({ name, ports })])) },
    tls: { certificates: certFiles.map((certFile) => ({ certFile, cert: '', keyFile: '', key: new Secret('') })) },
  } as unknown as Settings
}

/** Everything that there is to record of a back end. */
function use(metrics: Metrics, backend: string): void {
  metrics.backendIsUp(backend, false)
  metrics.backendAddresses(backend, 'imap', { up: 1, down: 0 })
  metrics.backendAddresses(backend, 'pop3', { up: 0, down: 1 })
  metrics.backendProbed(backend, 'failed')
  metrics.loginTook('imap', backend, 5)
  metrics.loginWaited(backend, 'logins', 'admitted', 5)
  metrics.sessionStarted('imap', backend)
  metrics.relayAccount('imap', backend)(1, 2)
}

async function read(record: (metrics: Metrics) => void): Promise<Reading> {
  const registry = createRegistry(() => 0)
  record(createMetrics(registry))
  return structuredClone(await registry.getMetricsAsJSON())
}

/** The series that have this text in their labels. */
async function seriesWith(text: string, readings: readonly Reading[]): Promise<string[]> {
  const lines = (await sumReadings(readings).metrics()).split('\n')
  return lines.filter((line) => line.startsWith('mailmux_') && line.includes(`"${text}"`))
}

test('shows no series of a removed back end, in one process and in several', async () => {
  const filter = createRemovedFilter(settings(['store1'], []))
  const worker = await read((metrics) => {
    for (const backend of ['store1', 'old']) {
      use(metrics, backend)
      metrics.sessionEnded('imap', backend, 1000)
      metrics.backendStateIs(backend, 'drain')
    }
  })
  assert.ok((await seriesWith('old', [worker])).length > 10)
  const kept = await seriesWith('store1', [worker])
  for (const readings of [[worker], [worker, worker]]) {
    const shown = readings.map(filter)
    assert.deepEqual(await seriesWith('old', shown), [])
    assert.equal((await seriesWith('store1', shown)).length, kept.length)
  }
})

test('shows the sessions that still run at a removed back end, and nothing else of it', async () => {
  const worker = await read((metrics) => use(metrics, 'old'))
  const shown = [createRemovedFilter(settings([], []))(worker)]
  assert.deepEqual(await seriesWith('old', shown), ['mailmux_sessions{protocol="imap",backend="old"} 1'])
})

test('shows no addresses of a protocol that the back end does not serve any more', async () => {
  const worker = await read((metrics) => use(metrics, 'store1'))
  const { routing, tls } = settings(['store1'], [])
  routing.backends.get('store1')!.ports = { imap: 143 }
  const lines = await seriesWith('store1', [createRemovedFilter({ routing, tls })(worker)])
  assert.ok(lines.some((line) => line.includes('mailmux_backend_addresses') && line.includes('"imap"')))
  assert.ok(!lines.some((line) => line.includes('mailmux_backend_addresses') && line.includes('"pop3"')))
})

test('shows no certificate under its former name', async () => {
  const now = settings([], ['new.pem'])
  const worker = await read((metrics) => {
    metrics.worldEntered([{ file: 'old.pem', notAfterMs: 1000 }])
    metrics.worldEntered([{ file: 'new.pem', notAfterMs: 2000 }])
  })
  const shown = [createRemovedFilter(now)(worker)]
  assert.deepEqual(await seriesWith('old.pem', shown), [])
  assert.deepEqual(await seriesWith('new.pem', shown), [
    'mailmux_certificate_expiry_timestamp_seconds{certificate="new.pem"} 2',
  ])
})

test('a scrape of one process has what its registry has', async () => {
  const registry = createRegistry(() => 0)
  const metrics = createMetrics(registry)
  use(metrics, 'store1')
  const inForce = settings(['store1'], [])
  metrics.backendStateIs('store1', 'up')
  const reading = await registry.getMetricsAsJSON()
  const names = (text: string): string[] => [...text.matchAll(/^(\w+(?:\{.*?\})?) /gm)].map(([, name = '']) => name)
  const shown = await sumReadings([createRemovedFilter(inForce)(reading)]).metrics()
  assert.deepEqual(names(shown).sort(), names(await registry.metrics()).sort())
})
