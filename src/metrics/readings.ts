/** What the series of a process stand at, as data: read in each process, carried between them, and put together for one scrape. */
import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client'

/** What all series of one process stand at. Plain data. */
export type Reading = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** Series of Node's runtime for which prom-client has something else in mind than what an operator looks for: the worst of all workers. */
const WORST = /^nodejs_eventloop_lag_/

/** The registry of a process, with what Node's runtime tells of it. */
export function createRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** @returns a registry that renders all of them as one: sums, but for the series that say otherwise (`aggregator`) */
export function sumReadings(readings: readonly Reading[]): Registry {
  return AggregatorRegistry.aggregate(readings.map((reading) => reading.map(chooseAggregator)))
}

/** @returns what those that have ended have counted, with one more of them; what they stood at apart from that is over with them */
export function addToPast(past: Reading, ended: Reading): Promise<Reading> {
  const counted = ended.filter(({ type }) => COUNTED.has(String(type)))
  return sumReadings([past, counted]).getMetricsAsJSON()
}

const COUNTED = new Set(['counter', 'histogram', 'summary'])

function chooseAggregator(metric: Reading[number]): Reading[number] {
  if (metric.name === 'process_start_time_seconds') return { ...metric, aggregator: 'min' }
  return WORST.test(metric.name) ? { ...metric, aggregator: 'max' } : metric
}
