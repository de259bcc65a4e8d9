/** Takes the sums of all processes every few seconds: for the charts of the last hour, and for what a back end did within the last minute. */
import { createHistory, difference, EVERY_MS, type Sample } from '../metrics/history.ts'
import type { Reading } from '../metrics/readings.ts'
import { quantileMs, sumUp, type Sums } from '../metrics/sums.ts'

/** Samples of the last minute. */
const RECENT = 60_000 / EVERY_MS
/** Operators who look at the page at the same time share one reading. */
const FRESH_MS = 1000

/** Of the last minute, or of the time since the start. */
export type BackendRate = { loginsPerSecond: number; latencyP50Ms?: number; latencyP99Ms?: number }

export type Sampled = { sums: Sums; atMs: number }

export type Sampler = {
  start: () => void
  stop: () => void
  /** The sums as they are now, or were up to a second ago. */
  now: () => Promise<Sampled>
  /** What each back end did within the last minute before `sampled`. */
  rates: (sampled: Sampled) => ReadonlyMap<string, BackendRate>
  /** @param number of the last sample that the caller has */
  history: (number: number) => Sample[]
  /** when every worker could ask the directory for the last time; undefined: not since the start */
  directoryLastUpMs: () => number | undefined
}

/**
 * @param read the wanted series of all processes
 * @param nowMs the monotonic clock
 */
export function createSampler(read: () => Promise<Reading[]>, nowMs: () => number): Sampler {
  const history = createHistory()
  let recent: Sampled[] = []
  let last: Sampled | undefined
  let reading: Promise<Sampled> | undefined
  let directoryLastUpMs: number | undefined
  let timer: NodeJS.Timeout | undefined

  async function readNow(): Promise<Sampled> {
    const atMs = nowMs() // before the reading: what is read is no older
    const sums = sumUp(await read())
    last = { sums, atMs }
    if (sums.directoryUp) directoryLastUpMs = atMs
    return last
  }

  /** One reading at a time. */
  function take(): Promise<Sampled> {
    reading ??= readNow().finally(() => (reading = undefined))
    return reading
  }

  async function sample(): Promise<void> {
    const taken = await take()
    history.add(taken.sums, taken.atMs)
    recent = [...recent, taken].slice(-RECENT)
  }

  return {
    start() {
      const next = (): void => void sample().catch(() => undefined) // the next one may succeed
      next()
      timer = setInterval(next, EVERY_MS)
      timer.unref()
    },
    stop: () => clearInterval(timer),
    now: () => (last && nowMs() - last.atMs < FRESH_MS ? Promise.resolve(last) : take()),
    rates({ sums, atMs }) {
      const [oldest] = recent
      const seconds = (atMs - (oldest?.atMs ?? atMs)) / 1000
      const rates = [...sums.backends].map(([name, now]) => {
        const before = oldest?.sums.backends.get(name)
        const latency = difference(before?.latency, now.latency)
        const p50 = quantileMs(latency, 0.5)
        const p99 = quantileMs(latency, 0.99)
        const rate: BackendRate = {
          loginsPerSecond: seconds > 0 ? Math.max(0, now.logins - (before?.logins ?? 0)) / seconds : 0,
          ...(seconds > 0 && p50 !== undefined && { latencyP50Ms: p50 }),
          ...(seconds > 0 && p99 !== undefined && { latencyP99Ms: p99 }),
        }
        return [name, rate] as const
      })
      return new Map(rates)
    },
    history: history.since,
    directoryLastUpMs: () => directoryLastUpMs,
  }
}
