/** The ledger in the memory of one process: of the only one, or of the supervisor for all workers. Its answers are exact and come at once. */
import type {
  Attempt,
  Claims,
  Ledger,
  LoginAnswer,
  LoginQuestion,
  Overrun,
  RateClaim,
  SessionQuestion,
} from './ledger.ts'
import type { LedgerChange } from './ledger-change.ts'
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
  /** how many of this key are held, without those of an elder */
  count: (key: string) => number
  /** what is held, without what an elder holds */
  keys: () => Iterable<string>
  /** Tells each change from now on, until it is called again. @returns all that is counted by now, with what an elder holds */
  handOver: (to: ((change: LedgerChange) => void) | undefined) => Iterable<LedgerChange>
  /** Another ledger, the elder, has counted this. What it holds counts in the limits here. */
  hear: (change: LedgerChange) => void
  /** The elder has ended, and holds nothing any more. */
  endElder: () => void
  /** Those that are nearest to their limits. It looks at all that is counted: for operators. */
  usage: (limits: LimitsInForce, most: number) => Usage[]
}

export function createLocalLedger(nowMs: () => number = () => performance.now()): LocalLedger {
  /** Only what is held is in it: it has no more keys than there are connections and sessions. */
  const counts = new Map<string, number>()
  /** Each limit has a table of its own, so that the addresses of a flood do not displace the users. */
  const rates = new Map<LimitName, Rates>()
  const penalty = createPenalty(nowMs)
  /** Below 0 if a release comes before what it releases. */
  const elder = new Map<string, number>()
  let tell: ((change: LedgerChange) => void) | undefined

  function ratesOf(limit: LimitName): Rates {
    let found = rates.get(limit)
    if (!found) rates.set(limit, (found = createRates(nowMs)))
    return found
  }

  function findOverrun(claims: Claims): Overrun | undefined {
    const full = claims.counts.find(({ key, max }) => (counts.get(key) ?? 0) + (elder.get(key) ?? 0) >= max)
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
    hold(claims.counts.map(({ key }) => key))
    takeRates(claims.rates)
    return undefined
  }

  function hold(keys: readonly string[]): void {
    for (const key of keys) add(counts, key, 1)
    if (keys.length > 0) tell?.({ what: 'hold', keys })
  }

  function release(keys: readonly string[]): void {
    for (const key of keys) if (counts.has(key)) add(counts, key, -1)
    if (keys.length > 0) tell?.({ what: 'release', keys })
  }

  function takeRates(claims: readonly RateClaim[]): void {
    for (const { limit, key, rate } of claims) ratesOf(limit).take(key, rate)
    if (claims.length > 0) tell?.({ what: 'takeRates', claims })
  }

  function noteKnown(known: SessionQuestion['known']): void {
    if (!known) return
    penalty.noteSuccess(known.user, known.network)
    tell?.({ what: 'noteKnown', known })
  }

  function noteFailure(attempt: Attempt): void {
    penalty.noteFailure(attempt)
    tell?.({ what: 'noteFailure', attempt })
  }

  function* save(held: readonly [string, number][]): Generator<LedgerChange> {
    for (const [key, count] of held) yield { what: 'count', key, count }
    for (const [limit, table] of rates) for (const rate of table.save()) yield { what: 'rate', limit, ...rate }
    for (const score of penalty.saveScores()) yield { what: 'score', ...score }
    for (const known of penalty.saveKnown()) yield { what: 'known', ...known }
  }

  function hear(change: LedgerChange): void {
    switch (change.what) {
      case 'hold':
      case 'release':
        for (const key of change.keys) add(elder, key, change.what === 'hold' ? 1 : -1)
        return tell?.(change)
      case 'count':
        add(elder, change.key, change.count)
        return tell?.(change)
      case 'takeRates':
        return takeRates(change.claims)
      case 'noteFailure':
        return noteFailure(change.attempt)
      case 'noteKnown':
        return noteKnown(change.known)
      case 'rate':
        return ratesOf(change.limit).load(change.key, change.leftMs)
      case 'score':
        return penalty.loadScore(change)
      case 'known':
        return penalty.loadKnown(change)
    }
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
    release,
    noteFailure,
    noteKnown,
    findOverrun,
    hold,
    takeRates,
    count: (key) => counts.get(key) ?? 0,
    keys: () => counts.keys(),
    handOver(to) {
      tell = to
      return save([...counts, ...elder]) // the held of this moment: `to` learns what changes it
    },
    hear,
    endElder() {
      for (const [key, count] of elder) tell?.({ what: 'count', key, count: -count })
      elder.clear()
    },
    usage(limits, most) {
      const list = createUsageList(most)
      for (const key of new Set([...counts.keys(), ...elder.keys()])) {
        const { head, limit, of, subject } = readKey(key)
        const most = limits.counts.get(head)
        const count = (counts.get(key) ?? 0) + (elder.get(key) ?? 0)
        if (most !== undefined) list.add({ limit, of, subject, count, most })
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

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change
  if (count !== 0) counts.set(key, count)
  else counts.delete(key)
}

function toTenths(value: number): number {
  return Math.round(10 * value) / 10
}
