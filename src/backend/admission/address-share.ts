/** How much of a back end's logins and of its queue the clients of one network have, so that one client cannot take all of it. */
import { networkOf } from '../../net/address.ts'

/** One network may have an eighth of a limit: seven others still get their part, and a webmail server's burst fits into it. */
const PARTS = 8
/** @param least of a limit that is smaller than this one network may have all */
export function shareOf(limit: number, least: number): number {
  return Math.max(Math.ceil(limit / PARTS), Math.min(limit, least))
}

/** What one network has. @typeParam Waiter a login in the queue */
export type AddressUse<Waiter> = {
  readonly network: string
  /** logins under way, those that wait for their client included, and those in line that may be next */
  logins: number
  /** in the queue, in whatever way */
  waiting: number
  /** those that wait until fewer logins of their own network are under way, in order */
  readonly parked: Set<Waiter>
}

/** Entries exist while they count something, so that their number is bounded by the limits of the back end. */
export class AddressShares<Waiter> {
  readonly #uses = new Map<string, AddressUse<Waiter>>()

  /** @returns undefined where nothing is counted for this address */
  get(address: string | undefined): AddressUse<Waiter> | undefined {
    return address === undefined ? undefined : this.#uses.get(networkOf(address))
  }

  /** @returns undefined where there is no address to count for */
  open(address: string | undefined): AddressUse<Waiter> | undefined {
    if (address === undefined) return undefined
    const network = networkOf(address)
    const known = this.#uses.get(network)
    if (known) return known
    const use: AddressUse<Waiter> = { network, logins: 0, waiting: 0, parked: new Set() }
    this.#uses.set(network, use)
    return use
  }

  /** To be called after each change downwards. */
  closeIfEmpty({ network, logins, waiting }: AddressUse<Waiter>): void {
    if (logins === 0 && waiting === 0) this.#uses.delete(network)
  }

  values(): Iterable<AddressUse<Waiter>> {
    return this.#uses.values()
  }
}
