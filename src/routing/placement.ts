/**
 * Where a user without a route should live: weighted rendezvous hashing. Each back end draws a number for the user, and the highest
 * wins; a back end that is added wins some users from each of the others, and one that is taken out gives up its own alone. Pure,
 * and the same on every machine: instances that see the same back ends choose the same one without a word between them.
 */

import { finish, hash, scoreFor } from '../rendezvous.ts'

/** A back end that may take new users. */
export type Candidate = {
  name: string
  /** its share of the users, against those of the others; over 0 */
  weight: number
  /** what its name adds to a user's number, worked out once */
  seed: number
}

export function toCandidate({ name, weight }: { name: string; weight: number }): Candidate {
  return { name, weight, seed: finish(hash(name)) }
}

/**
 * @param user a normalised name
 * @param candidates in any order
 * @returns the one with the highest number, undefined where there is none
 */
export function choose(user: string, candidates: Iterable<Candidate>): Candidate | undefined {
  const seed = hash(user)
  let best: Candidate | undefined
  let bestScore = -Infinity
  for (const candidate of candidates) {
    const score = scoreFor(finish(seed ^ candidate.seed), candidate.weight)
    // A tie is as likely as winning a lottery twice, and must still not depend on the order.
    if (score < bestScore || (score === bestScore && best !== undefined && candidate.name > best.name)) continue
    best = candidate
    bestScore = score
  }
  return best
}
