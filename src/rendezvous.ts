/**
 * The arithmetic of weighted rendezvous hashing, on which placing new users and choosing among equal addresses agree: each candidate
 * gets a score for the user, and the highest wins. Pure, and the same on every machine.
 */

/**
 * -w / ln(u) for u even between 0 and 1: the highest of several is each one's with a chance of exactly its share of the weights.
 * The last bit of a logarithm may differ between engines.
 * @param finished 32 bits, as `finish` gives them
 */
export function scoreFor(finished: number, weight: number): number {
  // Half a step away from both ends: neither 0, whose logarithm is infinite, nor 1, whose quotient is.
  const u = (finished + 0.5) / 2 ** 32
  return -weight / Math.log(u)
}

/** FNV-1a over UTF-16 code units: for names in ASCII the same as FNV-1a over octets. */
export function hash(text: string): number {
  let state = 0x811c9dc5
  for (let index = 0; index < text.length; index++) state = Math.imul(state ^ text.charCodeAt(index), 0x01000193)
  return state
}

/** The last step of MurmurHash3: without it names that differ in their last letter alone stay near each other. */
export function finish(state: number): number {
  let mixed = state ^ (state >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
