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

/** A route as it is kept on disk. */
export type RememberedRoute = { user: string; entry: DirectoryEntry; ageMs: number }

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
  /** Routes that were known before a restart, the most recently used first. They only stand in, until the store has been asked for them. */
  restore: (routes: readonly RememberedRoute[]) => void
  /**
   * Asks the store for up to so many of the restored routes.
   * @returns whether there are more
   * @throws MuxError `directory-unavailable`
   */
  compare: (most: number) => Promise<boolean>
  /** The users whose routes are known, the most recently used first, no more than `most`. */
  users: (most: number) => string[]
  /** What is known of one of them by now; undefined where that is nothing that could stand in. */
  remembered: (user: string) => RememberedRoute | undefined
  /** Another number whenever there may be another route to keep. */
  revision: () => number
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
  let revision = 0
  /** known from before the restart, and not asked for since */
  const restored = new Set<string>()

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

  function learn(user: string, one: Known): void {
    revision++
    restored.delete(user)
    known.set(user, one)
  }

  /** One question at a time for a user, however many logins wait for its answer. */
  function ask(user: string): Promise<DirectoryEntry | undefined> {
    const underWay = asking.get(user)
    if (underWay && !underWay.changed) return underWay.answer
    const askedIn = era
    const question = { changed: false, answer: Promise.resolve<DirectoryEntry | undefined>(undefined) }
    question.answer = read(user).then(
      (entry) => {
        if (!question.changed) learn(user, { entry, readAtMs: nowMs(), era: askedIn })
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
        // Looked up again: a change may have been told meanwhile. And only a route stands in: that nobody knew the user says nothing about now.
        const last = trace ? known.peek(user) : known.get(user)
        if (!isAway(error) || last?.entry === undefined || nowMs() - last.readAtMs >= settings.maxStaleMs) throw error
        trace?.(describeStandIn(user, last.entry, nowMs() - last.readAtMs))
        return { entry: last.entry, source: restored.has(user) ? 'snapshot' : 'stale' }
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
      revision++
      if (user === undefined) {
        for (const question of asking.values()) question.changed = true
        known.clear()
        restored.clear()
        return
      }
      // Found by name: with thousands of lookups waiting for a slow Redis, to look at each of them for every change would be the slower thing.
      const underWay = asking.get(user)
      if (underWay) underWay.changed = true
      known.delete(user)
      restored.delete(user)
    },
    restore(routes) {
      // What is set last counts as used last.
      for (const { user, entry, ageMs } of routes.slice(0, settings.maxEntries).reverse()) {
        known.set(user, { entry, readAtMs: nowMs() - ageMs, era: NEVER })
        restored.add(user)
      }
    },
    async compare(most) {
      const users: string[] = []
      for (const user of restored) {
        if (users.length === most) break
        if (known.has(user)) users.push(user)
        else restored.delete(user) // others have taken its room
      }
      const answers = await Promise.allSettled(users.map(ask))
      for (const [index, answer] of answers.entries()) {
        if (answer.status === 'fulfilled') continue
        if (isAway(answer.reason)) throw answer.reason
        restored.delete(users[index] ?? '') // the store has been asked, and what it holds makes no sense
      }
      return restored.size > 0
    },
    users(most) {
      const users: string[] = []
      for (const user of known.keys()) {
        if (users.length === most) break
        users.push(user)
      }
      return users
    },
    remembered(user) {
      const one = known.peek(user)
      return one?.entry && { user, entry: one.entry, ageMs: nowMs() - one.readAtMs }
    },
    revision: () => revision,
    doubt(user) {
      const before = known.get(user)
      if (before) known.set(user, { ...before, era: NEVER })
    },
  }
}

function isAway(error: unknown): boolean {
  return error instanceof MuxError && error.code === 'directory-unavailable'
}
