/**
 * The logins that the penalty delays now, in one process. Each holds its connection, about 20 KB, so that there is a largest number. One
 * network must not fill it: a guesser with enough connections would be delayed no more, and neither would any other.
 */
import type { Origin } from './ledger.ts'
import type { Delay, Rejection } from './rejection.ts'

/** Further ones are not delayed: to refuse them would let a guesser with many addresses lock the users out. */
const MOST_DELAYED = 5000
/** Of one network, where further ones are rejected. The users who have logged in from there before are not delayed, and so not counted. */
const MOST_OF_NETWORK = 100
/** Of an IPv6 /48, which may be a whole provider's. */
const MOST_OF_SITE = 1000

export type Delays = {
  /** @returns undefined where the login goes on at once */
  enter(delayMs: number, origin: Origin): Delay | Rejection | undefined
}

export function createDelays(): Delays {
  let delayed = 0
  /** Only what is delayed is in it. */
  const byPlace = new Map<string, number>()

  function add(place: string, change: 1 | -1): void {
    const count = countOf(place) + change
    if (count > 0) byPlace.set(place, count)
    else byPlace.delete(place)
  }

  const countOf = (place: string): number => byPlace.get(place) ?? 0

  return {
    enter(delayMs, { network, site }) {
      if (delayMs <= 0) return undefined
      if (countOf(network) >= MOST_OF_NETWORK) return rejection(MOST_OF_NETWORK)
      if (site !== undefined && countOf(site) >= MOST_OF_SITE) return rejection(MOST_OF_SITE)
      if (delayed >= MOST_DELAYED) return undefined
      const places = site === undefined ? [network] : [network, site]
      delayed++
      for (const place of places) add(place, 1)
      return {
        delayMs,
        release() {
          if (places.length === 0) return
          delayed--
          for (const place of places.splice(0)) add(place, -1)
        },
      }
    },
  }
}

function rejection(max: number): Rejection {
  return { limit: 'penalty', kind: 'too-fast', detail: `penalty: ${max} logins of this network are delayed already` }
}
