/** The addresses of a back end in the order in which one login tries them. */
import type { Endpoint } from './endpoint.ts'

export type Attempt = {
  endpoint: Endpoint
  /** this login has tried the address before, and pauses before the next try */
  again: boolean
  /** there is another address that this login has not tried and that is not known to be down */
  othersLeft: boolean
}

/** Limit for an address to become ready while another address is left. HAProxy's usual `timeout connect` is the same. */
const CONNECT_TIMEOUT_MS = 5000

/** How long an address may take to become ready for a login: a hung address must not use up the time that another one needs. */
export function connectTimeoutMs({ othersLeft }: Attempt, leftMs: number): number {
  return othersLeft ? Math.min(CONNECT_TIMEOUT_MS, leftMs / 2) : leftMs
}

export type AddressCursor = {
  /** The attempt to make now; undefined if no address is worth another one. */
  next(): Attempt | undefined
  /** Must be called once when the login is over, however it ended. */
  leave(): void
}

/**
 * @param endpoints in the order in which to try them, those that are down last; read again for each attempt
 * @param isTrial all of them are down, and this login alone checks whether they still are: once at each
 */
export function createCursor(
  endpoints: () => readonly Endpoint[],
  { isTrial, leave }: { isTrial: boolean; leave: () => void },
): AddressCursor {
  const tried: Endpoint[] = []
  const timesAt = (endpoint: Endpoint): number => tried.filter((one) => one === endpoint).length

  return {
    next() {
      const now = endpoints()
      const up = now.filter(({ health }) => health.up)
      const candidates = up.length > 0 ? up : now
      let endpoint: Endpoint | undefined
      for (const one of candidates) if (!endpoint || timesAt(one) < timesAt(endpoint)) endpoint = one
      if (!endpoint) return undefined
      const again = tried.includes(endpoint)
      if (again && isTrial) return undefined
      tried.push(endpoint)
      return { endpoint, again, othersLeft: candidates.some((one) => !tried.includes(one)) }
    },
    leave,
  }
}
