/** The series of the snapshot file: when it last had all routes that this process remembers. Absent without such a file. */
import { Gauge, type Registry } from 'prom-client'

/** @returns notes a time in ms since 1970; undefined: there is no such file any more */
export function createSnapshotGauge(registry: Registry): (completeAtMs: number | undefined) => void {
  let atMs: number | undefined
  new Gauge({
    name: 'mailmux_snapshot_complete_timestamp_seconds',
    help: 'When the snapshot file last had all remembered routes; absent without such a file.',
    aggregator: 'min',
    registers: [registry],
    collect() {
      this.reset()
      if (atMs === undefined) this.remove()
      else this.set(atMs / 1000)
    },
  })
  return (completeAtMs) => (atMs = completeAtMs)
}
