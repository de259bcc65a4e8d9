/** The share of a back end's logins and of its queue that the clients of one network use, so that one client cannot take all of it. */
import { networkOf } from '../../net/address.ts'

/** A network may use an eighth of a limit. This leaves room for seven other networks, and for a burst of a webmail server. */
export const PARTS = 8
/** @param least a network may use this much of the limit, or all of a smaller limit */
export function shareOf(limit: number, least: number): number {
  return Math.max(Math.ceil(limit / PARTS), Math.min(limit, least))
}

/** The counts of one network. @typeParam Waiter a login in the queue */
export type AddressUse<Waiter> = {
  readonly network: string
  /** logins under way, including paused logins, and logins in the queue that are ready to be admitted */
  logins: number
  /** logins in the queue, ready or parked */
  waiting: number
  /** logins that wait until fewer logins of this network are under way, in order: of known users, and others */
  readonly parkedKnown: Set<Waiter>
  readonly parked: Set<Waiter>
}

/** An entry exists only while a count is above zero. This bounds the number of entries by the limits of the back end. */
export class AddressShares<Waiter> {
  readonly #uses = new Map<string, AddressUse<Waiter>>()

  /** @returns undefined if no count exists for this address */
  get(address: string | undefined): AddressUse<Waiter> | undefined {
    return address === undefined ? undefined : this.#uses.get(networkOf(address))
  }

  /** @returns undefined without an address */
  open(address: string | undefined): AddressUse<Waiter> | undefined {
    if (address === undefined) return undefined
    const network = networkOf(address)
    const known = this.#uses.get(network)
    if (known) return known
    const use: AddressUse<Waiter> = { network, logins: 0, waiting: 0, parkedKnown: new Set(), parked: new Set() }
    this.#uses.set(network, use)
    return use
  }

  /** To be called after each decrement. */
  closeIfEmpty({ network, logins, waiting }: AddressUse<Waiter>): void {
    if (logins === 0 && waiting === 0) this.#uses.delete(network)
  }

  values(): Iterable<AddressUse<Waiter>> {
    return this.#uses.values()
  }
}
