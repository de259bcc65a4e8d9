/** How fast a back end is given logins: so many a second, and fewer at first once it is back. Pure; the time comes from outside. */

/** Logins a second that a back end which is back begins with: somebody gets in at once, and a cold cache is not run over. */
const FIRST_PER_SECOND = 10
/** ... but no more than this share of what it may take later, or a small back end would begin with everything. */
const FIRST_SHARE = 0.1
/** What a quiet time leaves over, in seconds of the rate. A whole second would let twice the rate into the next one. */
const BURST_SECONDS = 0.1

/**
 * The share of its limits that a back end has, so long after it came back. It grows by the same factor each second: slowly where
 * caches are cold, and fast where it is clear that the back end holds.
 * @param perSecond what it may take when all is well
 */
export function slowStartShare(elapsedMs: number, slowStartMs: number, perSecond: number): number {
  if (elapsedMs >= slowStartMs) return 1
  const first = Math.min(FIRST_PER_SECOND / perSecond, FIRST_SHARE)
  return first ** (1 - Math.max(0, elapsedMs) / slowStartMs)
}

export type Bucket = {
  /** Whether one more may pass now. */
  has(perSecond: number, nowMs: number): boolean
  /** Lets one pass; to be asked with `has` first. */
  take(): void
  /** Forgets what a quiet time has left over: one may pass now, and the next when the rate says so. */
  restart(nowMs: number): void
}

/** A token bucket whose rate may change with each question. It begins full. */
export function createBucket(nowMs: number): Bucket {
  let tokens = Number.POSITIVE_INFINITY
  let filledMs = nowMs
  return {
    has(perSecond, nowMs) {
      const filled = tokens + (Math.max(0, nowMs - filledMs) / 1000) * perSecond
      tokens = Math.min(filled, Math.max(1, perSecond * BURST_SECONDS))
      filledMs = nowMs
      return tokens >= 1
    },
    take() {
      tokens -= 1
    },
    restart(nowMs) {
      tokens = 1
      filledMs = nowMs
    },
  }
}
