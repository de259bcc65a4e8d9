/**
 * Routes that are known. A hit is current, since every change is pushed; while pushes may be missing, nothing is taken for current
 * and the store is asked. When the store cannot answer, the last known route stands in for a time: mailboxes move rarely, outages
 * end, and the wrong answers (a default back end, "wrong password") cost more than an old one. Sees no Redis and no clock of its own.
 *
 * Names without a route are kept apart: guesses of a client must not take the place of routes.
 */
import { LRUCache } from 'lru-cache'
import type { RouteCacheSettings } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import type { DirectoryAnswer, StandIn } from '../directory.ts'
import { type RouteStep, type Trace } from '../trace.ts'
import { type DirectoryEntry, describeEntry } from '../entry.ts'
import { DataLost } from '../errors.ts'

/** The era of what was never compared. */
const NEVER = 0

/** Names without a route that are remembered. They only spare Redis the repeated question of one client. */
const MAX_UNKNOWN = 1000

/** `goneAtMs`: when the store has said that the route is another, or that there is none. Kept only so that the user is not placed anew. */
type Known = { entry: DirectoryEntry; readAtMs: number; era: number; goneAtMs: number | undefined }
type Nobody = { readAtMs: number; era: number }

/** A route as it is kept on disk. `gone`: see `lastKnown`. */
export type RememberedRoute = { user: string; entry: DirectoryEntry; ageMs: number; gone?: true }

export type RouteCache = {
  /**
   * @param trace hears of each step; nothing is remembered of such a lookup, and no login waits for its answer
   * @throws what `read` throws, where no known route can stand in
   */
  lookup: (user: string, trace?: Trace) => Promise<DirectoryAnswer>
  /** Every change is told from now on; what was known before is compared before it is trusted. */
  startTrusting: () => void
  stopTrusting: () => void
  /**
   * The store says that this user's route is another now: the known one is asked for, and stands in no longer. With undefined
   * any may be: all are asked for, and stand in until then.
   */
  change: (user: string | undefined) => void
  /** Routes that were known before a restart, the most recently used first. They only stand in, until the store has been asked for them. */
  restore: (routes: readonly RememberedRoute[]) => void
  /** All that is known and was not read in this era, the most recently used first: what `compare` goes through. */
  startComparing: () => void
  /**
   * Asks the store for up to so many of them.
   * @returns whether there are more
   * @throws MuxError `directory-unavailable`
   */
  compare: (most: number) => Promise<boolean>
  /** The users whose routes are known, the most recently used first, no more than `most`. */
  users: (most: number) => string[]
  /** What is known of one of them by now. */
  remembered: (user: string) => RememberedRoute | undefined
  /** The last route of a user, even where the store has none any more. A user who has one is never placed elsewhere. */
  lastKnown: (user: string) => DirectoryEntry | undefined
  /** What another worker may use while the store cannot be asked; undefined where nothing is known of the user. */
  standInFor: (user: string) => StandIn | undefined
  /** Another number whenever there may be another route to keep. */
  revision: () => number
  /** A back end has refused the user: the route may be wrong, and is asked for; it still stands in during an outage. */
  invalidate: (user: string) => void
}

/**
 * @param read asks the store; a MuxError `directory-unavailable` is what lets a known route stand in
 * @param mayForget whether the store removes routes by itself: that it has none then says nothing about a user who had one
 */
export function createRouteCache(
  read: (user: string, trace?: Trace) => Promise<DirectoryEntry | undefined>,
  settings: RouteCacheSettings,
  nowMs: () => number,
  mayForget: () => boolean = () => false,
): RouteCache {
  const known = new LRUCache<string, Known>({ max: settings.maxEntries })
  const nobody = new LRUCache<string, Nobody>({ max: Math.min(settings.maxEntries, MAX_UNKNOWN) })
  /** lookups under way; `changed` where the answer may be older than a push that overtook it */
  const asking = new Map<string, { answer: Promise<DirectoryEntry | undefined>; changed: boolean }>()
  // What was read in an earlier era may have changed unseen.
  let era = NEVER + 1
  let trusting = false
  let revision = 0
  /** known from before the restart, and not asked for since */
  const restored = new Set<string>()
  /** users to compare, the next one last */
  let uncompared: string[] = []

  function isCurrent(one: Known | Nobody | undefined): boolean {
    if (!one || !trusting || one.era !== era || isGone(one)) return false
    return nowMs() - one.readAtMs < lifetimeMs(one)
  }

  const lifetimeMs = (one: Known | Nobody): number =>
    'entry' in one ? settings.lifetimeMs : settings.negativeLifetimeMs

  function describeKnown(key: string, one: Known | Nobody | undefined): RouteStep {
    const asked = 'memory'
    if (!one) return { asked, key, outcome: 'nothing' }
    const ageMs = nowMs() - one.readAtMs
    const what = 'entry' in one ? describeEntry(one.entry) : 'nobody of this name'
    if (isCurrent(one)) return { asked, key, outcome: 'found', detail: what, ageMs, leftMs: lifetimeMs(one) - ageMs }
    return { asked, key, outcome: 'outdated', detail: `${what} (${whyOutdated(one)})`, ageMs }
  }

  function whyOutdated(one: Known | Nobody): string {
    if (isGone(one)) return 'changed or removed since'
    if (!trusting) return 'changes are not told'
    return one.era === era ? 'too old' : 'to be compared'
  }

  /** In place where the user is known: to compare a route is not to use it. */
  function learn(user: string, entry: DirectoryEntry | undefined, readIn: number): void {
    revision++
    restored.delete(user)
    const before = known.peek(user)
    if (!entry) {
      if (before) before.goneAtMs = nowMs()
      nobody.set(user, { readAtMs: nowMs(), era: readIn })
      return
    }
    nobody.delete(user)
    const one: Known = { entry, readAtMs: nowMs(), era: readIn, goneAtMs: undefined }
    if (before) Object.assign(before, one)
    else known.set(user, one)
  }

  /** One question at a time for a user, however many logins wait for its answer. */
  function ask(user: string): Promise<DirectoryEntry | undefined> {
    const underWay = asking.get(user)
    if (underWay && !underWay.changed) return underWay.answer
    const askedIn = era
    const question = { changed: false, answer: Promise.resolve<DirectoryEntry | undefined>(undefined) }
    question.answer = read(user).then(
      (entry) => {
        if (!question.changed) learn(user, entry, askedIn)
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

  /** @param forgotten whether the store has no route for a user although it may have had one */
  function standIn(user: string, forgotten: boolean, trace: Trace | undefined): DirectoryAnswer | undefined {
    // Looked up again: a change may have been told meanwhile.
    const last = trace ? known.peek(user) : known.get(user)
    if (!last || (isGone(last) && !(forgotten && mayForget()))) return undefined
    const ageMs = nowMs() - last.readAtMs
    if (ageMs >= settings.maxStaleMs) return undefined
    const detail = `${describeEntry(last.entry)} (stands in)`
    trace?.({ asked: 'memory', key: user, outcome: 'found', detail, ageMs, leftMs: settings.maxStaleMs - ageMs })
    return { entry: last.entry, source: restored.has(user) ? 'snapshot' : 'stale' }
  }

  return {
    async lookup(user, trace) {
      const before = trace ? known.peek(user) : known.get(user)
      const absent = trace ? nobody.peek(user) : nobody.get(user)
      trace?.(describeKnown(user, absent && (!before || isGone(before)) ? absent : before))
      if (before && isCurrent(before)) return { entry: before.entry, source: 'cache' }
      try {
        if (isCurrent(absent))
          return (mayForget() && standIn(user, true, trace)) || { entry: undefined, source: 'cache' }
        const entry = await (trace ? read(user, trace) : ask(user))
        const kept = entry === undefined && mayForget() ? standIn(user, true, trace) : undefined
        return kept ?? { entry, source: 'directory' }
      } catch (error) {
        const kept = isAway(error) ? standIn(user, error instanceof DataLost, trace) : undefined
        if (!kept) throw error
        return kept
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
        nobody.clear()
        era++
        return
      }
      // Found by name: with thousands of lookups waiting for a slow Redis, to look at each of them for every change would be the slower thing.
      const underWay = asking.get(user)
      if (underWay) underWay.changed = true
      nobody.delete(user)
      const one = known.peek(user)
      if (one) one.goneAtMs = nowMs()
    },
    restore(routes) {
      // What is set last counts as used last.
      for (const { user, entry, ageMs, gone = false } of routes.slice(0, settings.maxEntries).reverse()) {
        known.set(user, { entry, readAtMs: nowMs() - ageMs, era: NEVER, goneAtMs: gone ? nowMs() : undefined })
        if (!gone) restored.add(user)
      }
    },
    startComparing() {
      uncompared = [...known.keys()].reverse()
    },
    async compare(most) {
      const users: string[] = []
      while (users.length < most && uncompared.length > 0) {
        const user = uncompared.pop() ?? ''
        const one = known.peek(user)
        if (one && !isGone(one) && one.era !== era) users.push(user)
      }
      const answers = await Promise.allSettled(users.map(ask))
      for (const [index, answer] of answers.entries()) {
        if (answer.status === 'fulfilled') continue
        const user = users[index] ?? ''
        if (isAway(answer.reason)) {
          uncompared.push(...users.slice(index).reverse())
          throw answer.reason
        }
        restored.delete(user) // the store has been asked, and what it holds makes no sense
      }
      return uncompared.length > 0
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
      return (
        one && { user, entry: one.entry, ageMs: nowMs() - one.readAtMs, ...(isGone(one) && { gone: true as const }) }
      )
    },
    lastKnown: (user) => known.peek(user)?.entry,
    standInFor(user) {
      const [one, absent] = [known.peek(user), nobody.peek(user)]
      const goneAtMs = one?.goneAtMs ?? absent?.readAtMs
      if (goneAtMs !== undefined) return { goneMs: nowMs() - goneAtMs }
      const source = restored.has(user) ? 'snapshot' : 'stale'
      return one && { entry: one.entry, ageMs: nowMs() - one.readAtMs, source }
    },
    revision: () => revision,
    invalidate(user) {
      nobody.delete(user)
      const before = known.get(user)
      if (before) before.era = NEVER
    },
  }
}

const isGone = (one: Known | Nobody): boolean => 'entry' in one && one.goneAtMs !== undefined

function isAway(error: unknown): boolean {
  return error instanceof MuxError && error.code === 'directory-unavailable'
}
