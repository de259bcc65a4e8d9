/**
 * How long a refusal of a password waits, so that its time does not tell who exists: mailmux itself refuses an unknown user at once,
 * and a back end refuses a known one more slowly (often with a penalty). Both wait for the recent maximum. Likewise a challenge for an
 * unknown user, which mailmux makes up, takes the time of a recent one of a back end.
 */

/** Upper bound of that wait. A back end that needs longer to refuse has a fault, which must not delay the users of the others. */
const LONGEST_MS = 10_000
/** How fast a slow refusal is forgotten: after 100 others a tenth of it is left. */
const DECAY = 0.977
/** Recent challenges to take a time from: enough to show how the times are spread, and over within minutes. */
const MOST_CHALLENGES = 64

export type RefusalPace = {
  /** Notes how long a back end took to refuse a password, without the client's own time and without a queue. */
  observe(ms: number): void
  /** How long after the login command a refusal is due. @param leastMs the configured delay */
  dueMs(leastMs: number): number
  /** Notes how long a back end took to challenge a client, its connection and greeting included. */
  observeChallenge(ms: number): void
  /** How long a made-up challenge waits: a random one of the recent times, since a maximum would differ from a known user's. */
  challengeMs(): number
}

/** @param random from 0 to 1 */
export function createRefusalPace(random: () => number = Math.random): RefusalPace {
  let slowestMs = 0
  const challenges: number[] = []
  let next = 0
  return {
    observe(ms) {
      slowestMs = Math.min(LONGEST_MS, Math.max(ms, slowestMs * DECAY))
    },
    dueMs: (leastMs) => Math.max(leastMs, slowestMs),
    observeChallenge(ms) {
      challenges[next] = Math.min(LONGEST_MS, ms)
      next = (next + 1) % MOST_CHALLENGES
    },
    challengeMs: () => challenges[Math.floor(random() * challenges.length)] ?? 0,
  }
}
