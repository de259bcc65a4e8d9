/** What the series of a process stand at, as data: read in each process, carried between them, and put together for one scrape. */
import { AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { readDescriptorShare } from '../resources/descriptors.ts'

/** What all series of one process stand at. Plain data. */
export type Reading = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** Series of Node's runtime for which prom-client has something else in mind than what an operator looks for: the worst of all workers. */
const WORST = /^nodejs_eventloop_lag_/

/** Gauges with the ending of a counter, which `promtool check metrics` rejects. The series with labels (`nodejs_active_handles`) have the same numbers. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/**
 * The registry of a process, with the series of Node's runtime.
 * @param logLinesDropped their number since the start
 */
export function createRegistry(logLinesDropped: () => number): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  new Counter({
    name: 'mailmux_log_lines_dropped_total',
    help: 'Log lines that did not fit into the buffer, because their destination was full, slow or broken.',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(logLinesDropped())
    },
  })
  // The sums of `process_open_fds` and `process_max_fds` hide a full process among others that are not.
  new Gauge({
    name: 'mailmux_descriptors_used_ratio',
    help: 'The open descriptors of a process by its limit, of the process with the largest share.',
    aggregator: 'max',
    registers: [registry],
    async collect() {
      const share = await readDescriptorShare()
      this.reset()
      if (share === undefined) this.remove()
      else this.set(share)
    },
  })
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
