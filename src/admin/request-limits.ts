/** How many requests one address may send, and how many wrong tokens. The tables have a largest size, so that a flood of addresses takes no memory. */
import { createRates } from '../limits/rates.ts'
import { networkOf } from '../net/address.ts'

/** A page that reads ten paths a second, and several operators behind one address, need far less. */
const REQUESTS = { count: 500, perMs: 5000 }
/** Some for a person who pastes the wrong one. A guess needs 2^64 times as many at least. */
const WRONG_TOKENS = { count: 10, perMs: 60_000 }
/** Operators, scrapers and balancers. A table that is full forgets the addresses that have asked for nothing longest. */
const MOST_ADDRESSES = 1000

export type RequestLimits = {
  /** Counts a request. @returns how long to wait until the next one is answered; 0: this one is */
  request: (address: string) => number
  /** the same for an address that has sent wrong tokens; counts nothing */
  tokenWait: (address: string) => number
  wrongToken: (address: string) => void
}

/** @param nowMs of the monotonic clock */
export function createRequestLimits(nowMs: () => number = () => performance.now()): RequestLimits {
  const requests = createRates(nowMs, MOST_ADDRESSES)
  const wrong = createRates(nowMs, MOST_ADDRESSES)
  return {
    request(address) {
      const key = networkOf(address)
      const waitMs = requests.waitMs(key, REQUESTS)
      if (waitMs === 0) requests.take(key, REQUESTS)
      return waitMs
    },
    tokenWait: (address) => wrong.waitMs(networkOf(address), WRONG_TOKENS),
    wrongToken: (address) => wrong.take(networkOf(address), WRONG_TOKENS),
  }
}
