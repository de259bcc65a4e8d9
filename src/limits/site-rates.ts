/**
 * Rates of addresses over the instances of a site. Nothing waits for the store, since no login has been checked yet: it is told what has
 * happened, and its answer counts for what comes next.
 */
import { BoundedTable } from './bounded-table.ts'
import type { Overrun, RateClaim } from './ledger.ts'
import type { SiteStore } from './site-store.ts'

/** Notes that are on their way to the store. A flood of connections must not be one of commands that wait. */
const MOST_CHARGES = 1000
/** Addresses of which the store has said that they come too often. */
const MOST_BLOCKED = 20_000

export type SiteRates = {
  /** Tells the store of what has happened. */
  charge: (rates: readonly RateClaim[]) => void
  /** What the store has answered to that before. */
  findCharged: (rates: readonly RateClaim[]) => Overrun | undefined
}

export type SiteRatesParts = {
  /** bounded in time */
  charge: SiteStore['charge']
  /** whether the store is in use */
  isShared: () => boolean
  onError: (error: unknown) => void
  nowMs: () => number
}

export function createSiteRates({ charge, isShared, onError, nowMs }: SiteRatesParts): SiteRates {
  let underWay = 0
  const blockedMs = new BoundedTable<number>(MOST_BLOCKED)

  function chargeOne({ key, rate }: RateClaim): void {
    if (underWay >= MOST_CHARGES) return
    underWay++
    charge(key, rate)
      .then((waitMs) => {
        if (waitMs > 0) blockedMs.set(key, nowMs() + waitMs)
      }, onError)
      .finally(() => underWay--)
  }

  return {
    charge(rates) {
      if (isShared()) rates.forEach(chargeOne)
    },
    findCharged(rates) {
      if (!isShared()) return undefined
      for (const { limit, key, rate } of rates) {
        const waitMs = (blockedMs.get(key) ?? 0) - nowMs()
        if (waitMs > 0) return { limit, max: rate.count, perMs: rate.perMs, waitMs }
      }
      return undefined
    },
  }
}
