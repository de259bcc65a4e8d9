/**
 * The order of one user among addresses that are equal: always the same, so that a user's sessions meet on one server and its caches,
 * while the users are spread by weight. An address that comes or goes moves nobody but its own users (rendezvous hashing). Pure.
 */
import { keyOf, type Address } from './addresses.ts'

/** @param places by rank, lowest first @returns the same, those of one rank in the order for this user */
export function orderFor<P extends { readonly address: Address }>(places: readonly P[], user: string): P[] {
  const scored = places.map((place) => ({ place, score: scoreOf(place.address, user) }))
  scored.sort((a, b) => a.place.address.rank - b.place.address.rank || b.score - a.score)
  return scored.map(({ place }) => place)
}

/** Whether the order depends on the user at all. */
export function hasEquals(addresses: readonly Address[]): boolean {
  return addresses.some(({ rank }, index) => index > 0 && rank === addresses[index - 1]?.rank)
}

/** Weighted rendezvous: the highest wins, in proportion to the weights. */
function scoreOf(address: Address, user: string): number {
  const share = (hash(`${keyOf(address)} ${user}`) + 0.5) / 2 ** 32
  return -address.weight / Math.log(share)
}

/** FNV-1a with the finish of Murmur3, without which names that differ in their last letter lie close together. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
