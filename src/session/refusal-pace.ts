/**
 * How long a refusal of a password waits, so that its time does not tell who exists: mailmux itself refuses an unknown user at once,
 * and a back end refuses a known one more slowly (often with a penalty). Both wait for the recent maximum. Pure.
 */

/** Upper bound of that wait. A back end that needs longer to refuse has a fault, which must not delay the users of the others. */
const LONGEST_MS = 10_000
/** How fast a slow refusal is forgotten: after 100 others a tenth of it is left. */
const DECAY = 0.977

export type RefusalPace = {
  /** Notes how long a back end took to refuse a password, without the client's own time and without a queue. */
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
