/**
 * Routes that are known. A hit is current, since every change is pushed; while pushes may be missing, nothing is taken for current
 * and the store is asked. When the store cannot answer, the last known route stands in for a time: mailboxes move rarely, outages
 * end, and the wrong answers (a default back end, "wrong password") cost more than an old one. Sees no Redis and no clock of its own.
 */
import { LRUCache } from 'lru-cache'
import type { RouteCacheSettings } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { DirectoryAnswer, DirectoryEntry } from './directory.ts'
import { describeEntry, type RouteStep, type Trace } from './trace.ts'

/** An era before all others. */
const NEVER = 0

type Known = { entry: DirectoryEntry | undefined; readAtMs: number; era: number }

export type RouteCache = {
  /**
   * @param trace hears of each step; nothing is remembered of such a lookup, and no login waits for its answer
   * @throws what `read` throws, where no known route can stand in
   */
  lookup(user: string, trace?: Trace): Promise<DirectoryAnswer>
  /** Every change is told from now on; what was known before is compared before it is trusted. */
  startTrusting: () => void
  stopTrusting: () => void
  /** The store says that this user's route is another now, or, with undefined, that any is. What was known is worth nothing. */
  change: (user: string | undefined) => void
  /** A back end has refused the user: the route may be wrong, and is asked for; it still stands in during an outage. */
  doubt: (user: string) => void
}

/** @param read asks the store; a MuxError `directory-unavailable` is what lets a known route stand in */
export function createRouteCache(
  read: (user: string, trace?: Trace) => Promise<DirectoryEntry | undefined>,
  settings: RouteCacheSettings,
  nowMs: () => number,
): RouteCache {
  const known = new LRUCache<string, Known>({ max: settings.maxEntries })
  /** lookups under way; `changed` where the answer may be older than a push that overtook it */
  const asking = new Map<string, { answer: Promise<DirectoryEntry | undefined>; changed: boolean }>()
  // What was read in an earlier era may have changed unseen.
  let era = NEVER + 1
  let trusting = false

  const lifetimeMs = ({ entry }: Known): number =>
    entry === undefined ? settings.negativeLifetimeMs : settings.lifetimeMs

  function isCurrent(one: Known): boolean {
    return trusting && one.era === era && nowMs() - one.readAtMs < lifetimeMs(one)
  }

  function describeKnown(key: string, one: Known | undefined): RouteStep {
    const asked = 'memory'
    if (!one) return { asked, key, outcome: 'nothing' }
    const ageMs = nowMs() - one.readAtMs
    const what = one.entry ? describeEntry(one.entry) : 'nobody of this name'
    if (isCurrent(one)) return { asked, key, outcome: 'found', detail: what, ageMs, leftMs: lifetimeMs(one) - ageMs }
    const why = !trusting ? 'changes are not told' : one.era === era ? 'too old' : 'to be compared'
    return { asked, key, outcome: 'outdated', detail: `${what} (${why})`, ageMs }
  }

  /** One question at a time for a user, however many logins wait for its answer. */
  function ask(user: string): Promise<DirectoryEntry | undefined> {
    const underWay = asking.get(user)
    if (underWay && !underWay.changed) return underWay.answer
    const askedIn = era
    const question = { changed: false, answer: Promise.resolve<DirectoryEntry | undefined>(undefined) }
    question.answer = read(user).then(
      (entry) => {
        if (!question.changed) known.set(user, { entry, readAtMs: nowMs(), era: askedIn })
        if (asking.get(user) === question) asking.delete(user)
        return entry
      },
      (error: unknown) => {
        if (asking.get(user) === question) asking.delete(user)
        throw error
      },
    )
    asking.set(user, question)
    return question.answer
  }

  function describeStandIn(key: string, entry: DirectoryEntry, ageMs: number): RouteStep {
    const detail = `${describeEntry(entry)} (stands in)`
    return { asked: 'memory', key, outcome: 'found', detail, ageMs, leftMs: settings.maxStaleMs - ageMs }
  }

  return {
    async lookup(user, trace) {
      const before = trace ? known.peek(user) : known.get(user)
      trace?.(describeKnown(user, before))
      if (before && isCurrent(before)) return { entry: before.entry, source: 'cache' }
      try {
        return { entry: await (trace ? read(user, trace) : ask(user)), source: 'directory' }
      } catch (error) {
        const away = error instanceof MuxError && error.code === 'directory-unavailable'
        // Looked up again: a change may have been told meanwhile. And only a route stands in: that nobody knew the user says nothing about now.
        const last = trace ? known.peek(user) : known.get(user)
        if (!away || last?.entry === undefined || nowMs() - last.readAtMs >= settings.maxStaleMs) throw error
        trace?.(describeStandIn(user, last.entry, nowMs() - last.readAtMs))
        return { entry: last.entry, source: 'stale' }
      }
    },
    startTrusting() {
      era++
      trusting = true
    },
    stopTrusting() {
      trusting = false
    },
    change(user) {
      if (user === undefined) {
        for (const question of asking.values()) question.changed = true
        known.clear()
        return
      }
      // Found by name: with thousands of lookups waiting for a slow Redis, to look at each of them for every change would be the slower thing.
      const underWay = asking.get(user)
      if (underWay) underWay.changed = true
      known.delete(user)
    },
    doubt(user) {
      const before = known.get(user)
      if (before) known.set(user, { ...before, era: NEVER })
    },
  }
}
