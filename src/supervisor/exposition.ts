/** The metrics of all processes of this instance: as one text for a scrape, and as readings for the next generation and the status page. */
import type { Registry } from 'prom-client'
import type { Settings } from '../config/settings.ts'
import { sumReadings, type Reading } from '../metrics/readings.ts'
import { createRemovedFilter } from '../metrics/removed-series.ts'
import { readWanted } from '../metrics/sums.ts'
import type { GenerationAnswers } from './generation/messages.ts'
import type { WorkerPool } from './worker-pool.ts'

export type Exposition = {
  render: () => Promise<string>
  /** of this generation */
  own: () => Promise<Reading[]>
  /** the series that the status page needs, of all generations; others may be among them */
  wanted: () => Promise<Reading[]>
  /** Leaves out what these settings do not have. */
  configure: (settings: Settings) => void
}

export function createExposition(
  settings: Settings,
  registry: Registry,
  pool: Pick<WorkerPool, 'readings'>,
  elders: Pick<GenerationAnswers, 'readings'>,
): Exposition {
  let withoutRemoved = createRemovedFilter(settings)
  const own = async (): Promise<Reading[]> => [await registry.getMetricsAsJSON(), ...(await pool.readings())]
  return {
    own,
    async render() {
      const [ours, older] = await Promise.all([own(), elders.readings()])
      return sumReadings([...ours, ...older].map(withoutRemoved)).metrics()
    },
    async wanted() {
      const [here, workers, older] = await Promise.all([readWanted(registry), pool.readings(), elders.readings()])
      return [here, ...workers, ...older]
    },
    configure: (next) => void (withoutRemoved = createRemovedFilter(next)),
  }
}
