/** The rate of logins at a back end, and its reduction after an outage (slow start). Pure: the caller gives the time. */

/** Logins per second at the beginning of a slow start. Some logins succeed at once, and a cold cache is not overloaded. */
const FIRST_PER_SECOND = 10
/** Upper bound of that rate, as a share of the full rate. Otherwise a small back end would begin with its full rate. */
const FIRST_SHARE = 0.1
/** Capacity of the bucket, in seconds of the rate. With a capacity of one second, twice the rate could pass within a second. */
const BURST_SECONDS = 0.1

/**
 * The share of the limits that applies `elapsedMs` after the outage. It grows by a constant factor per second: slowly while the
 * caches are cold, and fast once the back end has proved to bear the load.
 * @param perSecond the full rate
 */
export function slowStartShare(elapsedMs: number, slowStartMs: number, perSecond: number): number {
  if (elapsedMs >= slowStartMs) return 1
  const first = Math.min(FIRST_PER_SECOND / perSecond, FIRST_SHARE)
  return first ** (1 - Math.max(0, elapsedMs) / slowStartMs)
}

export type Bucket = {
  /** Whether a token is available. */
  has(perSecond: number, nowMs: number): boolean
  /** Takes a token. To be called after `has`. */
  take(): void
  /** Leaves one token in the bucket. Further tokens arrive at the rate. */
  restart(nowMs: number): void
}

/** A token bucket whose rate may change with each call. It begins full. */
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
