/**
 * The cache of routes. A hit is current, because the store sends a message about each change. While messages may be lost, no entry
 * counts as current, and the store is asked. While the store is unavailable, the last route stands in for a time: mailboxes move
 * rarely, outages end, and a wrong answer (a default back end, "wrong password") costs more than an old one. Knows no Redis and no clock.
 *
 * Names without a route are in a cache of their own: guesses of a client must not displace routes.
 * Over 250 lines: all operations share the two caches and the generation by which an entry counts as current.
 */
import { LRUCache } from 'lru-cache'
import { toEpochMs } from '../../clock.ts'
import type { RouteCacheSettings } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import type { DirectoryAnswer, StandIn } from '../directory.ts'
import { type RouteStep, type Trace } from '../trace.ts'
import { type DirectoryEntry, describeEntry, hasHoldRunOut } from '../entry.ts'
import { DataLost } from '../errors.ts'

/** Generation of entries that have not been validated. */
const UNVALIDATED = 0

/** Bound of the names without a route. They only save repeated questions about one client's name. */
const MAX_UNKNOWN = 1000

/** `goneAtMs`: when the store reported another route or none. The entry then only prevents that the user is placed again. */
type Known = { entry: DirectoryEntry; readAtMs: number; generation: number; goneAtMs: number | undefined }
type Absence = { readAtMs: number; generation: number }

/** A route as the snapshot stores it. `gone`: see `lastKnown`. */
export type RememberedRoute = { user: string; entry: DirectoryEntry; ageMs: number; gone?: true }

export type RouteCache = {
  /**
   * @param trace called for each step; such a lookup stores nothing, and no login waits for its answer
   * @throws the error of `read` if no route can stand in
   */
  lookup: (user: string, trace?: Trace) => Promise<DirectoryAnswer>
  /** The store reports each change from now on. Older entries are compared before they count as current. */
  startTrusting: () => void
  stopTrusting: () => void
  /**
   * The route of this user has changed: the next lookup asks, and the old route no longer stands in. With undefined any route
   * may have changed: all are asked for again, and stand in until then.
   * @param where `emptied`: in a store that has lost its data. Its routes do not count until an operator accepts them, so the old
   * route of a user stands in.
   */
  change: (user: string | undefined, where?: 'emptied') => void
  /** The store had lost its data at this time already: routes that were reported as changed since then stand in again. */
  forgetChanges: (sinceMs: number) => void
  /** Adds routes from before a restart, the most recently used first. They only stand in, until the store has been asked for them. */
  restore: (routes: readonly RememberedRoute[]) => void
  /** Collects all entries of older generations for `compare`, the most recently used first. */
  startComparing: () => void
  /**
   * Asks the store for up to `most` of them.
   * @returns whether there are more
   * @throws MuxError `directory-unavailable`
   */
  compare: (most: number) => Promise<boolean>
  /** The users with a remembered route, the most recently used first, at most `most`. */
  users: (most: number) => string[]
  /** The current entry of one of them. */
  remembered: (user: string) => RememberedRoute | undefined
  /** The last route of a user, even if the store has none any more. Such a user is never placed on another back end. */
  lastKnown: (user: string) => DirectoryEntry | undefined
  /** What another worker may use while the store is unavailable; undefined for an unknown user. */
  standInFor: (user: string) => StandIn | undefined
  /** A number that changes whenever the routes may have changed. */
  revision: () => number
  /** Marks the route as stale after a refusal by the back end. The next lookup asks; the route still stands in during an outage. */
  invalidate: (user: string) => void
}

/**
 * @param read asks the store; only after a MuxError `directory-unavailable` a remembered route stands in
 * @param mayForget whether the store evicts routes: a missing route then does not prove that it was removed
 */
export function createRouteCache(
  read: (user: string, trace?: Trace) => Promise<DirectoryEntry | undefined>,
  settings: () => RouteCacheSettings,
  nowMs: () => number,
  mayForget: () => boolean = () => false,
): RouteCache {
  const { maxEntries } = settings()
  const known = new LRUCache<string, Known>({ max: maxEntries })
  const absences = new LRUCache<string, Absence>({ max: Math.min(maxEntries, MAX_UNKNOWN) })
  /** lookups in progress; `changed` if the answer may be older than a message that overtook it */
  const asking = new Map<string, { answer: Promise<DirectoryEntry | undefined>; changed: boolean }>()
  // Entries of an earlier generation may have changed without a message.
  let generation = UNVALIDATED + 1
  let trusting = false
  let revision = 0
  /** users whose route is from before the restart and was not read since */
  const restored = new Set<string>()
  /** users to compare, the next one last */
  let uncompared: string[] = []

  function isCurrent(one: Known | Absence | undefined): boolean {
    if (!one || !trusting || one.generation !== generation || isGone(one)) return false
    return nowMs() - one.readAtMs < lifetimeMs(one)
  }

  const lifetimeMs = (one: Known | Absence): number =>
    'entry' in one ? settings().lifetimeMs : settings().negativeLifetimeMs

  function describeKnown(key: string, one: Known | Absence | undefined): RouteStep {
    const asked = 'memory'
    if (!one) return { asked, key, outcome: 'nothing' }
    const ageMs = nowMs() - one.readAtMs
    const what = 'entry' in one ? describeEntry(one.entry) : 'no user of this name'
    if (isCurrent(one)) return { asked, key, outcome: 'found', detail: what, ageMs, leftMs: lifetimeMs(one) - ageMs }
    return { asked, key, outcome: 'outdated', detail: `${what} (${whyOutdated(one)})`, ageMs }
  }

  function whyOutdated(one: Known | Absence): string {
    if (isGone(one)) return 'changed or removed since'
    if (!trusting) return 'changes are not reported'
    return one.generation === generation ? 'too old' : 'to be compared'
  }

  /** Updates an entry in place: a comparison must not count as a use. */
  function learn(user: string, entry: DirectoryEntry | undefined, readIn: number): void {
    revision++
    restored.delete(user)
    const before = known.peek(user)
    if (!entry) {
      if (before) before.goneAtMs = nowMs()
      absences.set(user, { readAtMs: nowMs(), generation: readIn })
      return
    }
    absences.delete(user)
    const one: Known = { entry, readAtMs: nowMs(), generation: readIn, goneAtMs: undefined }
    if (before) Object.assign(before, one)
    else known.set(user, one)
  }

  /** Asks once for a user, however many logins wait for the answer. */
  function ask(user: string): Promise<DirectoryEntry | undefined> {
    const underWay = asking.get(user)
    if (underWay && !underWay.changed) return underWay.answer
    const askedIn = generation
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

  /** @param forgotten whether the store may have lost the route */
  function standIn(user: string, forgotten: boolean, trace: Trace | undefined): DirectoryAnswer | undefined {
    // Looked up again: a change may have arrived meanwhile.
    const last = trace ? known.peek(user) : known.get(user)
    if (!last || (isGone(last) && !(forgotten && mayForget()))) return undefined
    const ageMs = nowMs() - last.readAtMs
    const { maxStaleMs } = settings()
    if (ageMs >= maxStaleMs || hasHoldRunOut(last.entry, ageMs, toEpochMs(nowMs()))) return undefined
    const detail = `${describeEntry(last.entry)} (stands in)`
    trace?.({ asked: 'memory', key: user, outcome: 'found', detail, ageMs, leftMs: maxStaleMs - ageMs })
    return { entry: last.entry, source: restored.has(user) ? 'snapshot' : 'stale' }
  }

  return {
    async lookup(user, trace) {
      const before = trace ? known.peek(user) : known.get(user)
      const absent = trace ? absences.peek(user) : absences.get(user)
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
      generation++
      trusting = true
    },
    stopTrusting() {
      trusting = false
    },
    change(user, where) {
      revision++
      if (user === undefined) {
        for (const question of asking.values()) question.changed = true
        absences.clear()
        generation++
        return
      }
      // A map: with thousands of lookups waiting for a slow Redis, a search through all of them for each change would be slow.
      const underWay = asking.get(user)
      if (underWay) underWay.changed = true
      absences.delete(user)
      const one = known.peek(user)
      if (one && where === 'emptied') one.generation = UNVALIDATED
      else if (one) one.goneAtMs = nowMs()
    },
    forgetChanges(sinceMs) {
      revision++
      for (const one of known.values())
        if (one.goneAtMs !== undefined && one.goneAtMs >= sinceMs) {
          one.goneAtMs = undefined
          one.generation = UNVALIDATED
        }
    },
    restore(routes) {
      // The entry that is set last counts as the most recently used.
      for (const { user, entry, ageMs, gone = false } of routes.slice(0, maxEntries).reverse()) {
        known.set(user, {
          entry,
          readAtMs: nowMs() - ageMs,
          generation: UNVALIDATED,
          goneAtMs: gone ? nowMs() : undefined,
        })
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
        if (one && !isGone(one) && one.generation !== generation) users.push(user)
      }
      const answers = await Promise.allSettled(users.map(ask))
      for (const [index, answer] of answers.entries()) {
        if (answer.status === 'fulfilled') continue
        const user = users[index] ?? ''
        if (isAway(answer.reason)) {
          uncompared.push(...users.slice(index).reverse())
          throw answer.reason
        }
        restored.delete(user) // the store has answered with an invalid route
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
      const [one, absent] = [known.peek(user), absences.peek(user)]
      const goneAtMs = one?.goneAtMs ?? absent?.readAtMs
      if (goneAtMs !== undefined) return { goneMs: nowMs() - goneAtMs }
      const source = restored.has(user) ? 'snapshot' : 'stale'
      return one && { entry: one.entry, ageMs: nowMs() - one.readAtMs, source }
    },
    revision: () => revision,
    invalidate(user) {
      absences.delete(user)
      const before = known.get(user)
      if (before) before.generation = UNVALIDATED
    },
  }
}

const isGone = (one: Known | Absence): boolean => 'entry' in one && one.goneAtMs !== undefined

function isAway(error: unknown): boolean {
  return error instanceof MuxError && error.code === 'directory-unavailable'
}
