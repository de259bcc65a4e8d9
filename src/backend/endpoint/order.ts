/**
 * The order of one user among addresses that are equal: always the same, so that a user's sessions meet on one server and its caches,
 * while the users are spread by weight. A new or removed address moves only its own users (rendezvous hashing). Pure.
 */
import { finish, hash, scoreFor } from '../../rendezvous.ts'
import { keyOf, type Address } from './addresses.ts'

/** @param endpoints by rank, lowest first @returns the same, those of one rank in the order for this user */
export function orderFor<P extends { readonly address: Address }>(endpoints: readonly P[], user: string): P[] {
  const scored = endpoints.map((endpoint) => ({ endpoint, score: scoreOf(endpoint.address, user) }))
  scored.sort((a, b) => a.endpoint.address.rank - b.endpoint.address.rank || b.score - a.score)
  return scored.map(({ endpoint }) => endpoint)
}

/** Whether the order depends on the user at all. */
export function hasEquals(addresses: readonly Address[]): boolean {
  return addresses.some(({ rank }, index) => index > 0 && rank === addresses[index - 1]?.rank)
}

function scoreOf(address: Address, user: string): number {
  return scoreFor(finish(hash(`${keyOf(address)} ${user}`)), address.weight)
}
