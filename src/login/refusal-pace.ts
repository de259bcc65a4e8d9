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
  const slowest = new Map<string, Slowest>()
  const challenges: number[] = []
  let next = 0
  return {
    observe(ms, address = '') {
      const network = networkOf(address)
      const own = slowest.get(network)
      const ownMs = Math.min(LONGEST_MS, Math.max(ms, (own?.ms ?? 0) * DECAY))
      // The slowest network makes no other forgotten: a guesser with a penalty would bring the pace of all others down.
      if (findMost(slowest) > ownMs) for (const one of slowest.values()) one.ms *= DECAY
      if (own) own.ms = ownMs
      else slowest.set(network, { ms: ownMs })
      if (slowest.size > MOST_NETWORKS) slowest.delete(findLeast(slowest))
    },
    dueMs(leastMs, address = '') {
      // Every refused guess comes here: the second largest is found without a sorted copy.
      let first = 0
      let second = 0
      for (const { ms } of slowest.values()) {
        if (ms > first) {
          second = first
          first = ms
        } else if (ms > second) second = ms
      }
      if (slowest.size === 1) second = first
      return Math.max(leastMs, slowest.get(networkOf(address))?.ms ?? 0, second)
    },
    observeChallenge(ms) {
      challenges[next] = Math.min(LONGEST_MS, ms)
      next = (next + 1) % MOST_CHALLENGES
    },
    challengeMs: () => challenges[Math.floor(random() * challenges.length)] ?? 0,
  }
}

/** Changed in place, as all of them change with most refusals. */
type Slowest = { ms: number }

function findMost(slowest: ReadonlyMap<string, Slowest>): number {
  let most = 0
  for (const { ms } of slowest.values()) if (ms > most) most = ms
  return most
}

function findLeast(slowest: ReadonlyMap<string, Slowest>): string {
  let least = ''
  let leastMs = Infinity
  for (const [network, { ms }] of slowest) {
    if (ms < leastMs) {
      least = network
      leastMs = ms
    }
  }
  return least
}
