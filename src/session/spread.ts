/**
 * Ends many sessions over a window of time, evenly, so that their clients do not connect again in one wave. One sweep looks after
 * all of them: there is no timer for each session, and at most one entry for each running one.
 */
import { finish, hash } from '../rendezvous.ts'
import type { EndReason } from './session.ts'

/** The part of a session that a spread uses. */
export type Spreadable = {
  readonly id: string
  /** no command is in progress, and the client has sent nothing for about a second */
  readonly isResting: boolean
  end(why: EndReason, withinMs?: number): void
}

export type SpreadOrder = {
  why: EndReason
  /** the window */
  overMs: number
  /** of each session, from its turn on; see Session.end */
  withinMs: number | undefined
}

export type Spread<S extends Spreadable> = {
  /** Gives each session its turn. A session that has one already keeps the earlier of the two. */
  add(sessions: readonly S[], order: SpreadOrder): void
  /** Ends the sessions whose turn has come. */
  sweep(): void
  /** The matching sessions have no turn any more. */
  takeBack(isMeant: (session: S, order: SpreadOrder) => boolean): void
  /** The session has ended. */
  forget(session: S): void
  /** sessions that wait for their turn */
  readonly size: number
}

/** @param nowMs a monotonic clock */
export function createSpread<S extends Spreadable>(nowMs: () => number): Spread<S> {
  const waiting = new Map<S, { dueMs: number; order: SpreadOrder }>()
  return {
    add(sessions, order) {
      const startMs = nowMs()
      for (const [session, delayMs] of turnsOf(sessions, order.overMs)) {
        const dueMs = startMs + delayMs
        const before = waiting.get(session)
        if (!before || dueMs < before.dueMs) waiting.set(session, { dueMs, order })
      }
    },
    sweep() {
      const now = nowMs()
      for (const [session, { dueMs, order }] of waiting) {
        if (dueMs > now) continue
        waiting.delete(session)
        session.end(order.why, order.withinMs)
      }
    },
    takeBack(isMeant) {
      for (const [session, { order }] of waiting) if (isMeant(session, order)) waiting.delete(session)
    },
    forget: (session) => void waiting.delete(session),
    get size() {
      return waiting.size
    },
  }
}

/**
 * The window is divided into as many equal parts as there are sessions, and each session gets a random place in a part of its own:
 * the rate is even, and workers and instances that have few sessions each do not end them at the same moment. Sessions at rest come
 * first. The hash of the session's id decides the rest.
 * Exported for its test. @returns the delay of each session
 */
export function turnsOf<S extends Spreadable>(sessions: readonly S[], overMs: number): [S, number][] {
  const inOrder = sessions.map((session) => ({
    session,
    isResting: session.isResting,
    key: finish(hash(session.id)),
  }))
  inOrder.sort((a, b) => Number(b.isResting) - Number(a.isResting) || a.key - b.key)
  const partMs = overMs / inOrder.length
  // The key itself gives the order, so that the place inside the part needs another hash.
  return inOrder.map(({ session, key }, index) => [session, (index + finish(key ^ SALT) / 2 ** 32) * partMs])
}

/** Any number that makes a second hash of the first one. */
const SALT = 0x5bd1e995

/** 1,000 sessions in 60 s, so that their logins are no wave elsewhere. */
const WINDOW_MS_PER_SESSION = 60
const LEAST_WINDOW_MS = 20_000

/** @returns the window for `count` sessions that end by an order of an operator that names none */
export function gradualMs(count: number): number {
  return Math.max(LEAST_WINDOW_MS, count * WINDOW_MS_PER_SESSION)
}

/** Below this rate nothing has to be spread: 20 logins a second are no wave, and a small site stops within a second. */
const QUIET_PER_SECOND = 20

/** @returns the window for `count` sessions that end because of one event. @param mostMs the longest that is allowed */
export function windowMs(count: number, mostMs: number): number {
  return Math.min(mostMs, (count * 1000) / QUIET_PER_SECOND)
}
