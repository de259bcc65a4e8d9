/**
 * How often something may happen: the generic cell rate algorithm (ITU-T I.371), with one number for each key. As many as the rate has
 * may come at once, and then one each `perMs / count`. There is no edge of a window at which twice as many could come.
 */
import type { Rate } from '../config/settings.ts'
import { BoundedTable } from './bounded-table.ts'

/**
 * The keys of one kind that are remembered: 11 MB, measured with keys of IPv6. A key that makes room has not happened for longest, and may
 * happen again as if it were new.
 */
const MOST_KEYS = 100_000

export type Rates = {
  /** @returns how long to wait until one more may happen; 0: it may now. Takes nothing */
  waitMs(key: string, rate: Rate): number
  take(key: string, rate: Rate): void
  /** how much of the rate is used up */
  used(key: string, rate: Rate): number
  keys(): Iterable<string>
  /** For another process: the keys of which something is used up, and when they will be unused. */
  save(): Generator<{ key: string; leftMs: number }>
  load(key: string, leftMs: number): void
}

export function createRates(nowMs: () => number, most = MOST_KEYS): Rates {
  /** by key, when all that has happened would have happened at the even pace */
  const theoretical = new BoundedTable<number>(most)
  const arrival = (key: string): number => Math.max(theoretical.get(key) ?? 0, nowMs())
  return {
    used: (key, { count, perMs }) => (arrival(key) - nowMs()) / (perMs / count),
    keys: () => theoretical.keys(),
    waitMs(key, { count, perMs }) {
      // The last of a burst comes `count - 1` intervals before its time.
      const earliestMs = arrival(key) - (perMs / count) * (count - 1)
      return Math.max(0, earliestMs - nowMs())
    },
    take(key, { count, perMs }) {
      theoretical.set(key, arrival(key) + perMs / count)
    },
    *save() {
      for (const [key, atMs] of theoretical.entries()) {
        const leftMs = atMs - nowMs()
        if (leftMs > 0) yield { key, leftMs }
      }
    },
    load: (key, leftMs) => theoretical.set(key, nowMs() + leftMs),
  }
}
