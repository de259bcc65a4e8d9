/** The last hour of a few sums in arrays of a fixed size: 50 KiB, whatever the load. The oldest sample makes room for the next. */
import { quantileMs, type Sums } from './sums.ts'

/** A chart of an hour has some 700 points across. */
export const EVERY_MS = 5000
export const SAMPLES = 720

/** Rates are of a second. */
export const SERIES = [
  'accepted',
  'refused',
  'failed',
  'bytesFromClient',
  'bytesFromBackend',
  'connections',
  'latencyP50Ms',
  'latencyP99Ms',
] as const
export type SeriesName = (typeof SERIES)[number]

/** `number`: of the sample, from 1. `null`: nothing to measure, such as the latency of no login */
export type Sample = { number: number; atMs: number } & Record<SeriesName, number | null>

export type History = {
  /** @param atMs of the monotonic clock, rising */
  add: (sums: Sums, atMs: number) => void
  /** those that came after the sample of this number, the oldest first; all, if there is no such sample yet: it was of an earlier process */
  since: (number: number) => Sample[]
}

export function createHistory(samples: number = SAMPLES): History {
  const times = new Float64Array(samples)
  const columns = SERIES.map((name) => ({ name, values: new Float64Array(samples) }))
  let count = 0
  let before: { sums: Sums; atMs: number } | undefined

  return {
    add(sums, atMs) {
      // The first sums are those since the start: there is no time that they could be divided by.
      const last = before
      before = { sums, atMs }
      if (!last || atMs <= last.atMs) return
      const at = count % samples
      times[at] = atMs
      const rates = rateOf(last.sums, sums, (atMs - last.atMs) / 1000)
      for (const { name, values } of columns) values[at] = rates[name] ?? NaN
      count++
    },
    since(number) {
      const from = Math.max(number > count ? 0 : number, count - samples, 0)
      return Array.from({ length: Math.max(0, count - from) }, (_, index) => {
        const at = (from + index) % samples
        const sample = { number: from + index + 1, atMs: times[at] ?? 0 } as Sample
        for (const { name, values } of columns) sample[name] = orNull(values[at])
        return sample
      })
    },
  }
}

const orNull = (value: number | undefined): number | null =>
  value === undefined || Number.isNaN(value) ? null : Math.round(value * 1000) / 1000

function rateOf(before: Sums, now: Sums, seconds: number): Record<SeriesName, number | undefined> {
  // A counter falls where a generation before this one has ended, which counts no more: its part is left out once.
  const rate = (from: number, to: number): number => Math.max(0, to - from) / seconds
  const latency = difference(before.latency, now.latency)
  return {
    accepted: rate(before.logins.accepted, now.logins.accepted),
    refused: rate(before.logins.refused, now.logins.refused),
    failed: rate(before.logins.failed, now.logins.failed),
    bytesFromClient: rate(before.bytesFromClient, now.bytesFromClient),
    bytesFromBackend: rate(before.bytesFromBackend, now.bytesFromBackend),
    connections: now.connections,
    latencyP50Ms: quantileMs(latency, 0.5),
    latencyP99Ms: quantileMs(latency, 0.99),
  }
}

/** The observations between two sums. */
export function difference(before: Float64Array | undefined, now: Float64Array): Float64Array {
  return now.map((count, bucket) => Math.max(0, count - (before?.[bucket] ?? 0)))
}
