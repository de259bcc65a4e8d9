/**
 * How long a refusal of a password waits, so that its time does not tell who exists: mailmux itself refuses an unknown user at once,
 * and a back end refuses a known one more slowly (often with a penalty). Both wait for the recent maximum. Likewise a challenge for an
 * unknown user, which mailmux makes up, takes the time of a recent one of a back end.
 * A back end may be slow to one client alone: Dovecot's penalty for wrong passwords grows to 15 s for one address. What only one network
 * has met counts for that network alone.
 */
import { networkOf } from '../net/address.ts'

/** Upper bound of that wait. A back end that needs longer to refuse has a fault, which must not delay the users of the others. */
const LONGEST_MS = 10_000
/** How fast a slow refusal is forgotten: after 100 others a tenth of it is left. */
const DECAY = 0.977
/** Networks whose maximum is kept, those with the largest: more would only be memory for guessers. */
const MOST_NETWORKS = 64
/** Recent challenges to take a time from: enough to show how the times are spread, and over within minutes. */
const MOST_CHALLENGES = 64

export type RefusalPace = {
  /** Notes how long a back end took to refuse a password, without the client's own time and without a queue. @param address the client's */
  observe(ms: number, address?: string): void
  /** How long after the login command a refusal is due. @param leastMs the configured delay; `address` the client's */
  dueMs(leastMs: number, address?: string): number
  /** Notes how long a back end took to challenge a client, its connection and greeting included. */
  observeChallenge(ms: number): void
  /** How long a made-up challenge waits: a random one of the recent times, since a maximum would differ from a known user's. */
  challengeMs(): number
}

/** @param random from 0 to 1 */
export function createRefusalPace(random: () => number = Math.random): RefusalPace {
  /** by network, the maximum that it has met */
  const slowest = new Map<string, number>()
  const challenges: number[] = []
  let next = 0
  return {
    observe(ms, address = '') {
      const network = networkOf(address)
      const own = Math.min(LONGEST_MS, Math.max(ms, (slowest.get(network) ?? 0) * DECAY))
      // The slowest network makes no other forgotten: a guesser with a penalty would bring the pace of all others down.
      const isSlowest = [...slowest.values()].every((known) => own >= known)
      if (!isSlowest) for (const [one, known] of slowest) slowest.set(one, known * DECAY)
      slowest.set(network, own)
      if (slowest.size > MOST_NETWORKS) slowest.delete(findLeast(slowest))
    },
    dueMs(leastMs, address = '') {
      const [first = 0, second = first] = [...slowest.values()].sort((one, other) => other - one)
      return Math.max(leastMs, slowest.get(networkOf(address)) ?? 0, second)
    },
    observeChallenge(ms) {
      challenges[next] = Math.min(LONGEST_MS, ms)
      next = (next + 1) % MOST_CHALLENGES
    },
    challengeMs: () => challenges[Math.floor(random() * challenges.length)] ?? 0,
  }
}

function findLeast(slowest: ReadonlyMap<string, number>): string {
  const [[least] = ['']] = [...slowest].sort(([, one], [, other]) => one - other)
  return least
}
