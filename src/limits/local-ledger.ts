/** The ledger in the memory of one process: of the only one, or of the supervisor for all workers. Its answers are exact and come at once. */
import type { Claims, Ledger, LoginAnswer, LoginQuestion, Overrun, RateClaim, SessionQuestion } from './ledger.ts'
import { createPenalty } from './penalty.ts'
import { createRates, type Rates } from './rates.ts'
import type { LimitName } from './rejection.ts'
import { createUsageList, readKey, type LimitsInForce, type Usage } from './usage.ts'

export type LocalLedger = Pick<Ledger, 'release' | 'noteFailure'> & {
  takeConnection: (claims: Claims) => Overrun | undefined
  askLogin: (question: LoginQuestion) => LoginAnswer
  takeSession: (question: SessionQuestion) => Overrun | undefined
  /** The steps of `takeSession`, for a ledger that asks elsewhere between them. `findOverrun` looks, and takes nothing. */
  noteKnown: (known: SessionQuestion['known']) => void
  findOverrun: (claims: Claims) => Overrun | undefined
  hold: (keys: readonly string[]) => void
  takeRates: (claims: readonly RateClaim[]) => void
  /** how many of this key are held */
  count: (key: string) => number
  /** what is held */
  keys: () => Iterable<string>
  /** Those that are nearest to their limits. It looks at all that is counted: for operators. */
  usage: (limits: LimitsInForce, most: number) => Usage[]
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
    for (const { key } of claims.counts) holdOne(key)
    takeRates(claims.rates)
    return undefined
  }

  function holdOne(key: string): void {
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }

  function takeRates(claims: readonly RateClaim[]): void {
    for (const { limit, key, rate } of claims) ratesOf(limit).take(key, rate)
  }

  function noteKnown(known: SessionQuestion['known']): void {
    if (known) penalty.noteSuccess(known.user, known.network)
  }

  return {
    takeConnection: take,
    askLogin({ rates: asked, ifKnown, attempt }) {
      const { user, network } = ifKnown
      const isKnown = penalty.isKnown(user, network)
      const overrun = take({ counts: [], rates: asked }) ?? (isKnown ? findOverrun(ifKnown) : undefined)
      return { overrun, delayMs: overrun || !attempt ? 0 : penalty.delayMs(attempt), isKnown }
    },
    takeSession(question) {
      noteKnown(question.known)
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
    noteKnown,
    findOverrun,
    hold: (keys) => keys.forEach(holdOne),
    takeRates,
    count: (key) => counts.get(key) ?? 0,
    keys: () => counts.keys(),
    usage(limits, most) {
      const list = createUsageList(most)
      for (const [key, count] of counts) {
        const read = readKey(key)
        const max = limits.counts.get(read.head)
        if (max !== undefined) list.add({ limit: read.limit, of: read.of, subject: read.subject, count, most: max })
      }
      for (const table of rates.values())
        for (const key of table.keys()) {
          const { head, limit, of, subject } = readKey(key)
          const rate = limits.rates.get(head)
          if (!rate) continue
          list.add({ limit, of, subject, count: toTenths(table.used(key, rate)), most: rate.count })
        }
      if (limits.penalty)
        for (const { subject, failures } of penalty.scores(limits.penalty)) {
          const most = Math.max(1, limits.penalty.after)
          list.add({ limit: 'penalty', of: '', subject, count: toTenths(failures), most })
        }
      return list.top()
    },
  }
}

function toTenths(value: number): number {
  return Math.round(10 * value) / 10
}
