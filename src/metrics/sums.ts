/** What the status page and its charts need of the series: a few sums of all processes, without labels from clients. Pure, but for the read. */
import type { Registry } from 'prom-client'
import type { Reading } from './readings.ts'

/** The upper bounds of `mailmux_login_duration_seconds` in milliseconds; the last bucket has none. */
export const LATENCY_BOUNDS_MS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000]

/** Logins at one back end since the start. `latency`: how many took up to each bound and longer than the bound before */
export type BackendSums = { logins: number; latency: Float64Array }

export type Sums = {
  logins: Record<'accepted' | 'refused' | 'failed', number>
  bytesFromClient: number
  bytesFromBackend: number
  latency: Float64Array
  backends: Map<string, BackendSums>
  /** connections that were ended before a login, by error code, and what limits have rejected or delayed, by limit */
  rejected: Map<string, number>
  limited: Map<string, number>
  connections: number
  connectionsMax: number
  /** 0: some worker cannot ask it */
  directoryUp: boolean
  directoryDataLost: boolean
  logLinesDropped: number
  shortages: number
}

type Metric = Reading[number]
type Value = Metric['values'][number]

const WANTED = [
  'mailmux_logins_total',
  'mailmux_login_duration_seconds',
  'mailmux_relayed_bytes_total',
  'mailmux_connections_rejected_total',
  'mailmux_limits_hit_total',
  'mailmux_connections',
  'mailmux_connections_max',
  'mailmux_directory_up',
  'mailmux_directory_data_lost',
  'mailmux_log_lines_dropped_total',
  'mailmux_local_shortages_total',
] as const

/** @returns the wanted series of this process alone: a reading of all would count its descriptors each time */
export async function readWanted(registry: Registry): Promise<Reading> {
  const metrics = await Promise.all(WANTED.map(async (name) => registry.getSingleMetric(name)?.get()))
  return metrics.filter((metric) => metric !== undefined)
}

const newLatency = (): Float64Array => new Float64Array(LATENCY_BOUNDS_MS.length + 1)

/** A login that was refused for the user's reasons counts as `refused`, and one that mailmux or a server could not answer as `failed`. */
const OUTCOMES: Partial<Record<string, keyof Sums['logins']>> = {
  accepted: 'accepted',
  refused: 'refused',
  disabled: 'refused',
  unavailable: 'failed',
  misconfigured: 'failed',
}

/** @param readings of all processes; other series than the wanted ones have no effect */
export function sumUp(readings: readonly Reading[]): Sums {
  const sums: Sums = {
    logins: { accepted: 0, refused: 0, failed: 0 },
    bytesFromClient: 0,
    bytesFromBackend: 0,
    latency: newLatency(),
    backends: new Map(),
    rejected: new Map(),
    limited: new Map(),
    connections: 0,
    connectionsMax: 0,
    directoryUp: true,
    directoryDataLost: false,
    logLinesDropped: 0,
    shortages: 0,
  }
  for (const metric of readings.flat()) for (const value of metric.values) add(sums, metric.name, value)
  return sums
}

function add(sums: Sums, name: string, one: Value): void {
  const { labels, value } = one
  switch (name) {
    case 'mailmux_logins_total': {
      const outcome = OUTCOMES[String(labels.outcome)]
      if (outcome) sums.logins[outcome] += value
      return
    }
    case 'mailmux_login_duration_seconds':
      return addLatency(sums, one)
    case 'mailmux_relayed_bytes_total':
      if (labels.direction === 'from-client') sums.bytesFromClient += value
      else sums.bytesFromBackend += value
      return
    case 'mailmux_connections_rejected_total':
      return increase(sums.rejected, String(labels.reason), value)
    case 'mailmux_limits_hit_total':
      return increase(sums.limited, String(labels.limit), value)
    case 'mailmux_connections':
      sums.connections += value
      return
    case 'mailmux_connections_max':
      sums.connectionsMax += value
      return
    case 'mailmux_directory_up':
      sums.directoryUp &&= value === 1
      return
    case 'mailmux_directory_data_lost':
      sums.directoryDataLost ||= value === 1
      return
    case 'mailmux_log_lines_dropped_total':
      sums.logLinesDropped += value
      return
    case 'mailmux_local_shortages_total':
      sums.shortages += value
  }
}

function increase(counts: Map<string, number>, key: string, by: number): void {
  if (by > 0) counts.set(key, (counts.get(key) ?? 0) + by)
}

/** A bucket of prom-client counts all observations up to its bound; here each one counts in one bucket. */
function addLatency(sums: Sums, one: Value & { metricName?: string; sharedLabels?: Record<string, unknown> }): void {
  const labels = { ...one.sharedLabels, ...one.labels }
  const backend = String(labels.backend)
  const at = sums.backends.get(backend) ?? { logins: 0, latency: newLatency() }
  sums.backends.set(backend, at)
  if (one.metricName?.endsWith('_count')) at.logins += one.value
  if (!one.metricName?.endsWith('_bucket')) return
  const bound = labels.le === '+Inf' ? LATENCY_BOUNDS_MS.length : LATENCY_BOUNDS_MS.indexOf(Number(labels.le) * 1000)
  if (bound < 0) return
  for (const latency of [sums.latency, at.latency]) {
    latency[bound] = (latency[bound] ?? 0) + one.value
    if (bound + 1 < latency.length) latency[bound + 1] = (latency[bound + 1] ?? 0) - one.value
  }
}

/**
 * The time within which a share of these logins ended, read linearly within a bucket as Prometheus' `histogram_quantile` does.
 * @param latency observations of a while
 * @returns milliseconds; undefined without an observation
 */
export function quantileMs(latency: Float64Array, share: number): number | undefined {
  const total = latency.reduce((sum, count) => sum + Math.max(0, count), 0)
  if (total === 0) return undefined
  let before = 0
  for (const [bucket, count] of latency.entries()) {
    const upper = LATENCY_BOUNDS_MS[bucket]
    if (before + count < share * total || count <= 0) {
      before += Math.max(0, count)
      continue
    }
    const lower = LATENCY_BOUNDS_MS[bucket - 1] ?? 0
    return upper === undefined ? lower : lower + ((upper - lower) * (share * total - before)) / count
  }
  return LATENCY_BOUNDS_MS.at(-1)
}
