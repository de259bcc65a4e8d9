/**
 * How long a refusal of a password waits, so that its time does not tell who exists: an unknown user is refused here and now,
 * a known one by a back end that takes its time (and often adds a penalty). Both are answered as late as the slowest of late. Pure.
 */

/** Back ends that need longer than this to refuse have a trouble that nobody else should wait for. */
const LONGEST_MS = 10_000
/** How fast a slow refusal is forgotten: after 100 others a tenth of it is left. */
const DECAY = 0.977

export type RefusalPace = {
  /** Notes how long a back end took to refuse a password. */
  observe(ms: number): void
  /** How long after the login command a refusal is due. @param leastMs the configured delay */
  dueMs(leastMs: number): number
}

export function createRefusalPace(): RefusalPace {
  let slowestMs = 0
  return {
    observe(ms) {
      slowestMs = Math.min(LONGEST_MS, Math.max(ms, slowestMs * DECAY))
    },
    dueMs: (leastMs) => Math.max(leastMs, slowestMs),
  }
}
