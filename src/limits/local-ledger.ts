/** The ledger in the memory of one process: of the only one, or of the supervisor for all workers. Its answers are exact and come at once. */
import type { Claims, Ledger, LoginAnswer, LoginQuestion, Overrun, RateClaim, SessionQuestion } from './ledger.ts'
import { createPenalty } from './penalty.ts'
import { createRates, type Rates } from './rates.ts'
import type { LimitName } from './rejection.ts'

export type LocalLedger = Ledger & {
  takeConnection: (claims: Claims) => Overrun | undefined
  askLogin: (question: LoginQuestion) => LoginAnswer
  takeSession: (question: SessionQuestion) => Overrun | undefined
}

export function createLocalLedger(nowMs: () => number = () => performance.now()): LocalLedger {
  /** Only what is held is in it: it has no more keys than there are connections and sessions. */
  const counts = new Map<string, number>()
  /** Each limit has a table of its own, so that the addresses of a flood do not displace the users. */
  const rates = new Map<LimitName, Rates>()
  const penalty = createPenalty(nowMs)

  function ratesOf(limit: LimitName): Rates {
    let found = rates.get(limit)
    if (!found) rates.set(limit, (found = createRates(nowMs)))
    return found
  }

  /** Looks, and takes nothing. */
  function findOverrun(claims: Claims): Overrun | undefined {
    const full = claims.counts.find(({ key, max }) => (counts.get(key) ?? 0) >= max)
    if (full) return { limit: full.limit, max: full.max }
    for (const { limit, key, rate } of claims.rates) {
      const waitMs = ratesOf(limit).waitMs(key, rate)
      if (waitMs > 0) return { limit, max: rate.count, perMs: rate.perMs, waitMs }
    }
    return undefined
  }

  function take(claims: Claims): Overrun | undefined {
    const overrun = findOverrun(claims)
    if (overrun) return overrun
    for (const { key } of claims.counts) counts.set(key, (counts.get(key) ?? 0) + 1)
    takeRates(claims.rates)
    return undefined
  }

  function takeRates(claims: readonly RateClaim[]): void {
    for (const { limit, key, rate } of claims) ratesOf(limit).take(key, rate)
  }

  return {
    takeConnection: take,
    askLogin({ rates: asked, ifKnown, attempt }) {
      const { user, network } = ifKnown
      const overrun =
        take({ counts: [], rates: asked }) ?? (penalty.isKnown(user, network) ? findOverrun(ifKnown) : undefined)
      return { overrun, delayMs: overrun || !attempt ? 0 : penalty.delayMs(attempt) }
    },
    takeSession(question) {
      const { known } = question
      if (known) penalty.noteSuccess(known.user, known.network)
      return take(question)
    },
    release(keys) {
      for (const key of keys) {
        const left = (counts.get(key) ?? 0) - 1
        if (left > 0) counts.set(key, left)
        else counts.delete(key)
      }
    },
    noteFailure: (attempt) => penalty.noteFailure(attempt),
  }
}
