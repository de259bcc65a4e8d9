/**
 * Limits a log line that many events can cause to one a minute, so that they do not fill the disk and hide other lines. The next
 * line has the number of events that got none. A metric counts each event; this module only decides about the line.
 */

/** A minute is short for an operator, and 1440 lines a day are few for a disk. */
const EVERY_MS = 60_000

/** Fields for the line. `others`: events since the last line that got none; absent where there were none. */
export type LogLimitFields = { others?: number }

/**
 * Called for each event. @returns undefined where the event gets no line
 * @param key kinds of events are limited apart from each other. It comes from a closed set, since each key stays in memory.
 */
export type LogLimit<Key> = (key: Key) => LogLimitFields | undefined

/** @param nowMs of the monotonic clock */
export function createLogLimit<Key>(nowMs: () => number = () => performance.now()): LogLimit<Key> {
  const lines = new Map<Key, { atMs: number; others: number }>()
  return (key) => {
    const last = lines.get(key)
    const atMs = nowMs()
    if (last && atMs - last.atMs < EVERY_MS) {
      last.others++
      return undefined
    }
    lines.set(key, { atMs, others: 0 })
    return last && last.others > 0 ? { others: last.others } : {}
  }
}
