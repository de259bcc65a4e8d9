/** What is read from the measured mailmux while the load is on it, and what is asked of that. */
import { fitTrend, risesOver, type Trend } from '../support/trend.ts'
import type { SteadySite } from './steady-site.ts'

const MiB = 2 ** 20
/** What memory may grow by in an hour for each 1,000 sessions a second: a third of a byte for each session. */
const MOST_GROWTH_MIB = 1
/**
 * prom-client's histogram is emptied at each scrape, and nobody else scrapes: the p99 is that of the time since the last sample.
 * What it holds are the times from one tick of a timer to the next: an idle event loop shows the timer's 10 ms.
 */
export const MOST_DELAY_MS = 20
const TIMER_MS = 10
/** Over all the samples: less than one is none. */
const MOST_HANDLES = 1

export type Sample = {
  /** since the load began */
  seconds: number
  residentMiB: number
  /** used, garbage included, as /metrics has it */
  heapMiB: number
  /** what lives after a collection of all garbage: in the heap, and outside of it; not in every sample */
  livingMiB: number | undefined
  outsideMiB: number | undefined
  handles: number
  sessions: number
  /** sessions so far */
  served: number
  delayMs: number
  /** that its thread was ready to run so far, and had no processor */
  waitedMs: number
  cpuSeconds: number
}

/** @param collects has all garbage collected first, for `livingMiB` */
export async function takeSample(site: SteadySite, startedAt: number, collects: boolean): Promise<Sample> {
  const text = await site.metrics() // before the collection, which is none of the load's delays
  const sum = (series: string) => sumSeries(text, series)
  const seconds = (performance.now() - startedAt) / 1000
  const living = collects ? await site.collect() : undefined
  return {
    seconds,
    residentMiB: (await site.residentBytes()) / MiB,
    heapMiB: sum('nodejs_heap_size_used_bytes') / MiB,
    handles: await site.handles(),
    sessions: sum('mailmux_sessions'),
    served: sum('mailmux_session_duration_seconds_count'),
    delayMs: sum('nodejs_eventloop_lag_p99_seconds') * 1000 - TIMER_MS,
    waitedMs: await site.waitedMs(),
    cpuSeconds: sum('process_cpu_seconds_total'),
    livingMiB: living && living.heapUsed / MiB,
    outsideMiB: living && living.external / MiB,
  }
}

/** The sum over all labels. */
export function sumSeries(text: string, name: string): number {
  const lines = text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))
  return [...lines].reduce((sum, [, value]) => sum + Number(value), 0)
}

export type Verdict = {
  /** MiB in an hour: what lives in the heap, and outside of it */
  heap: Trend
  outside: Trend
  mostGrowthMiB: number
  resident: Trend
  /** in an hour */
  handles: Trend
  worstDelayMs: number
  sessionsPerSecond: number
  cpu: number
  faults: string[]
}

/** @param all samples of the whole run @param warmSeconds how long it warms up: until then memory and handles may rise */
export function judge(all: readonly Sample[], warmSeconds: number): Verdict {
  const samples = all.filter(({ seconds }) => seconds >= warmSeconds)
  const hours = (of: (sample: Sample) => number | undefined): [number, number][] =>
    samples.flatMap((sample) => {
      const value = of(sample)
      return value === undefined ? [] : [[sample.seconds / 3600, value]]
    })
  const [first, last] = [samples[0]!, samples.at(-1)!]
  const seconds = last.seconds - first.seconds
  const sessionsPerSecond = (last.served - first.served) / seconds
  const mostGrowthMiB = (MOST_GROWTH_MIB * sessionsPerSecond) / 1000
  const heap = fitTrend(hours(({ livingMiB }) => livingMiB))
  const outside = fitTrend(hours(({ outsideMiB }) => outsideMiB))
  const handles = fitTrend(hours((sample) => sample.handles))
  const late = all.filter(({ delayMs }) => delayMs >= MOST_DELAY_MS)
  const faults: string[] = []
  if (risesOver(heap, mostGrowthMiB)) faults.push('the heap grows')
  if (risesOver(outside, mostGrowthMiB)) faults.push('memory outside of the heap grows')
  if (risesOver(handles, (MOST_HANDLES * 3600) / seconds)) faults.push('handles are not given back')
  if (late.length > 0) faults.push(`the event loop was late in ${late.length} of ${all.length} samples`)
  return {
    heap,
    outside,
    mostGrowthMiB,
    resident: fitTrend(hours(({ residentMiB }) => residentMiB)),
    handles,
    worstDelayMs: Math.max(...all.map(({ delayMs }) => delayMs)),
    sessionsPerSecond,
    cpu: (last.cpuSeconds - first.cpuSeconds) / seconds,
    faults,
  }
}
