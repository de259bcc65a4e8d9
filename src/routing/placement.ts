/**
 * Where a user without a route should live: weighted rendezvous hashing. Each back end draws a number for the user, and the highest
 * wins; a back end that is added wins some users from each of the others, and one that is taken out gives up its own alone. Pure,
 * and the same on every machine: instances that see the same back ends choose the same one without a word between them.
 */

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
    const score = scoreOf(seed, candidate)
    // A tie is as likely as winning a lottery twice, and must still not depend on the order.
    if (score < bestScore || (score === bestScore && best !== undefined && candidate.name > best.name)) continue
    best = candidate
    bestScore = score
  }
  return best
}

/**
 * -w / ln(u) for u even between 0 and 1: the highest of several is each one's with a chance of exactly its share of the weights.
 * The last bit of a logarithm is the engine's affair: where two engines differ in it, the directory's first word decides.
 */
function scoreOf(user: number, { weight, seed }: Candidate): number {
  // Half a step away from both ends: neither 0, whose logarithm is infinite, nor 1, whose quotient is.
  const u = (finish(user ^ seed) + 0.5) / 2 ** 32
  return -weight / Math.log(u)
}

/** FNV-1a over UTF-16 code units: for names in ASCII what everybody else's FNV-1a gives. */
function hash(text: string): number {
  let state = 0x811c9dc5
  for (let index = 0; index < text.length; index++) state = Math.imul(state ^ text.charCodeAt(index), 0x01000193)
  return state
}

/** The last step of MurmurHash3: without it names that differ in their last letter alone stay near each other. */
function finish(state: number): number {
  let mixed = state ^ (state >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
