/**
 * Selects the back end of a user without a route by weighted rendezvous hashing: each back end has a score for the user, and the
 * highest wins. An added back end takes some users from each of the others; a removed one moves only its own. Pure, and the same on
 * every machine: instances that see the same back ends choose the same one without communication.
 */

import { finish, hash, scoreFor } from '../rendezvous.ts'

/** A back end that may take new users. */
export type Candidate = {
  name: string
  /** its share of the users relative to the others; over 0 */
  weight: number
  /** hash of its name, computed once */
  seed: number
}

export function toCandidate({ name, weight }: { name: string; weight: number }): Candidate {
  return { name, weight, seed: finish(hash(name)) }
}

/**
 * @param user a normalised name
 * @param candidates in any order
 * @returns the one with the highest score; undefined without candidates
 */
export function choose(user: string, candidates: Iterable<Candidate>): Candidate | undefined {
  const seed = hash(user)
  let best: Candidate | undefined
  let bestScore = -Infinity
  for (const candidate of candidates) {
    const score = scoreFor(finish(seed ^ candidate.seed), candidate.weight)
    // A tie is very unlikely, but must not depend on the order either.
    if (score < bestScore || (score === bestScore && best !== undefined && candidate.name > best.name)) continue
    best = candidate
    bestScore = score
  }
  return best
}
