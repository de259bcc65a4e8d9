/** The metrics of a worker without any recording: every verb does nothing. */
import type { Registry } from 'prom-client'
import { createMetrics as createRealMetrics, type Metrics } from '../../../src/metrics/metrics.ts'

export * from '../../../src/metrics/metrics.ts'

/** Some verbs give a function that records; it is this one again. */
const nothing = (): unknown => nothing

export function createMetrics(registry: Registry): Metrics {
  const verbs = Object.entries(createRealMetrics(registry)).map(([name, verb]) => [
    name,
    typeof verb === 'function' ? nothing : verb,
  ])
  return Object.fromEntries(verbs) as Metrics
}
