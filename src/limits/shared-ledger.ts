/**
 * The ledger of an instance that shares limits with others. Sessions and logins of users wait for the store's answer, once the back end
 * has accepted the login. Nothing waits before that: connections and logins of an address are counted here, and the store is told of them.
 */
import type { Claims, Ledger, Overrun, SessionQuestion } from './ledger.ts'
import type { LocalLedger } from './local-ledger.ts'
import type { SiteCounts } from './site-counts.ts'
import { isSharedCount } from './site-store.ts'

/** @param current what is shared now; undefined: nothing */
export function createSharedLedger(local: LocalLedger, current: () => SiteCounts | undefined): Ledger {
  /** Without the store. @returns undefined: it is held */
  function takeHere(site: SiteCounts, question: SessionQuestion): Overrun | undefined {
    const overrun = local.takeSession(site.ownPart(question))
    if (!overrun) site.changed(keysOf(question))
    return overrun
  }

  async function takeEverywhere(
    site: SiteCounts,
    question: SessionQuestion,
    shared: Claims,
  ): Promise<Overrun | undefined> {
    await site.begin()
    if (!site.isShared()) return takeHere(site, question)
    local.noteKnown(question.known)
    const overrun = local.findOverrun(question)
    if (overrun) return overrun
    const keys = keysOf(question)
    local.hold(keys)
    const refused = await site.take(shared)
    if (refused === undefined) {
      local.takeRates(question.rates)
      return undefined
    }
    local.release(keys)
    const now = current()
    if (now !== site) now?.changed(keys) // a reload has changed the store, and the new one has been told of this login
    return refused === 'away' ? takeHere(site, question) : refused
  }

  return {
    takeConnection(claims) {
      const site = current()
      if (!site) return local.takeConnection(claims)
      const overrun = site.findCharged(claims.rates) ?? local.takeConnection(site.ownPart(claims))
      if (!overrun) site.charge(claims.rates)
      return overrun
    },
    askLogin(question) {
      const site = current()
      if (!site) return local.askLogin(question)
      const charged = site.findCharged(question.rates)
      if (charged) return { overrun: charged, delayMs: 0, isKnown: false }
      const { rates } = site.ownPart({ counts: [], rates: question.rates })
      const answer = local.askLogin({ ...question, rates, ifKnown: site.ownPart(question.ifKnown) })
      if (!answer.overrun) site.charge(question.rates)
      return answer
    },
    takeSession(question) {
      const site = current()
      const counts = question.counts.filter(({ limit }) => isSharedCount(limit))
      if (!site || (counts.length === 0 && question.rates.length === 0)) return local.takeSession(question)
      return takeEverywhere(site, question, { counts, rates: question.rates })
    },
    release(keys) {
      local.release(keys)
      current()?.changed(keys)
    },
    noteFailure: (attempt) => local.noteFailure(attempt),
  }
}

function keysOf({ counts }: Claims): string[] {
  return counts.map(({ key }) => key)
}
