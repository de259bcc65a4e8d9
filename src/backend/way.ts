/** The way of one login through the addresses of a back end: which comes next, and whether it has been there. */
import type { Place } from './live-backend.ts'

export type Step = {
  place: Place
  /** this login has been there already, and should give it a moment */
  again: boolean
  /** there is another address that it has not tried and that is not known to be down */
  othersLeft: boolean
}

/** What an address may take until it is heard of while there is another one: HAProxy's usual `timeout connect`. */
const REACH_MS = 5000

/** A hung address must not take the time that another one would need. @returns how long to wait for a sign of this one */
export function reachWithin({ othersLeft }: Step, leftMs: number): number {
  return othersLeft ? Math.min(REACH_MS, leftMs / 2) : leftMs
}

export type Way = {
  /** The place to try now; undefined where there is none that it would make sense to try. */
  next(): Step | undefined
  /** Must be called once it is over, however it ended. */
  leave(): void
}

/**
 * @param places in the order in which to try them, those that are down last; asked anew for each step
 * @param isTrial all of them are down, and this login alone looks whether they still are: once at each
 */
export function createWay(
  places: () => readonly Place[],
  { isTrial, leave }: { isTrial: boolean; leave: () => void },
): Way {
  const tried: Place[] = []
  const timesAt = (place: Place): number => tried.filter((one) => one === place).length

  return {
    next() {
      const now = places()
      const up = now.filter(({ health }) => health.up)
      const candidates = up.length > 0 ? up : now
      let place: Place | undefined
      for (const one of candidates) if (!place || timesAt(one) < timesAt(place)) place = one
      if (!place) return undefined
      const again = tried.includes(place)
      if (again && isTrial) return undefined
      tried.push(place)
      return { place, again, othersLeft: candidates.some((one) => !tried.includes(one)) }
    },
    leave,
  }
}
