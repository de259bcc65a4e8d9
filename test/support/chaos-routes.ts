/** Compares where users were, by the account of the stores, with what operators have ordered. Pure. */
import type { Target } from './chaos-plan.ts'
import type { Visit } from './chaos-record.ts'

/** A time in which a target does not work. `toMs` is Infinity while it lasts. */
export type Trouble = { target: Target; fromMs: number; toMs: number }

/** A write of a route. Between `sentMs` and `ackedMs` both this route and the one before may be in force. */
export type RouteChange = {
  user: string
  /** undefined: on hold, so that no login reaches any store; running sessions stay */
  store: string | undefined
  sentMs: number
  ackedMs: number
}

export type Kick = { user: string; sentMs: number; answeredMs: number }

/** A time in which a user is on hold for a move that has ended all sessions at the store. */
export type Cleared = { user: string; store: string; fromMs: number; toMs: number }

export type Allowance = {
  /** from a change of the route to the last login by the route before it */
  loginMs: number
  /** from an order to the end of the session */
  endMs: number
  /** after a trouble, until all instances have noticed that it is over */
  recoveryMs: number
  /** the targets whose troubles excuse a delay, beside the store itself */
  excuses: readonly Target[]
}

/** @returns the part of a time in which none of the targets is in trouble or recovers from one */
export function calmMs(
  fromMs: number,
  toMs: number,
  troubles: readonly Trouble[],
  targets: readonly string[],
  recoveryMs: number,
): number {
  let calm = 0
  let at = fromMs
  const theirs = troubles.filter(({ target }) => targets.includes(target))
  for (const trouble of theirs.toSorted((a, b) => a.fromMs - b.fromMs)) {
    if (at >= toMs) break
    calm += Math.max(0, Math.min(trouble.fromMs, toMs) - at)
    at = Math.max(at, trouble.toMs + recoveryMs)
  }
  return calm + Math.max(0, toMs - at)
}

/**
 * Logins at a store that the route did not name, and sessions that stayed at a store after the route named another one.
 * @param endMs the end of the record
 */
export function findStrays(
  visits: readonly Visit[],
  changes: readonly RouteChange[],
  troubles: readonly Trouble[],
  allowance: Allowance,
  endMs: number,
): string[] {
  const found: string[] = []
  const byUser = Map.groupBy(changes, ({ user }) => user)
  for (const visit of visits) {
    const history = byUser.get(visit.user)
    if (!history) continue
    const calm = (fromMs: number, toMs: number): number =>
      calmMs(fromMs, toMs, troubles, [...allowance.excuses, visit.store], allowance.recoveryMs)
    const isNamed = history.some(({ store, sentMs }, index) => {
      const overMs = history[index + 1]?.ackedMs ?? Infinity
      return store === visit.store && sentMs <= visit.fromMs && calm(overMs, visit.fromMs) <= allowance.loginMs
    })
    if (!isNamed) found.push(`${describe(visit)}: a login although the route did not name the store: ${tell(history)}`)
    const toMs = visit.toMs ?? endMs
    const stays = history.some(({ store, ackedMs }, index) => {
      if (store === undefined || store === visit.store) return false
      const backMs = history.slice(index + 1).find((later) => later.store === visit.store)?.sentMs ?? Infinity
      return calm(Math.max(ackedMs, visit.fromMs), Math.min(toMs, backMs)) > allowance.endMs
    })
    if (stays) found.push(`${describe(visit)}: stayed although the route named another store: ${tell(history)}`)
  }
  return found
}

/** Sessions that a kick has not ended. */
export function findKept(
  visits: readonly Visit[],
  kicks: readonly Kick[],
  troubles: readonly Trouble[],
  allowance: Allowance,
  endMs: number,
): string[] {
  return kicks.flatMap(({ user, sentMs, answeredMs }) =>
    visits
      .filter(
        (visit) =>
          visit.user === user &&
          // A login is not a session of its user before mailmux has read the answer of the store.
          visit.fromMs < sentMs - allowance.loginMs &&
          calmMs(answeredMs, visit.toMs ?? endMs, troubles, [...allowance.excuses, visit.store], allowance.recoveryMs) >
            allowance.endMs,
      )
      .map((visit) => `${describe(visit)}: stayed although a kick was answered at ${Math.round(answeredMs)} ms`),
  )
}

/**
 * Users of moves who were at two stores at once. A store in trouble ends a session late: it still counts the client of a connection
 * that mailmux has closed.
 */
export function findDoubles(
  visits: readonly Visit[],
  users: readonly string[],
  troubles: readonly Trouble[],
  { recoveryMs, endMs: slackMs }: Allowance,
): string[] {
  const found: string[] = []
  for (const [user, theirs] of Map.groupBy(visits, (visit) => visit.user)) {
    if (!users.includes(user)) continue
    for (const [index, one] of theirs.entries()) {
      for (const other of theirs.slice(index + 1)) {
        if (one.store === other.store) continue
        const [first, second] = one.fromMs <= other.fromMs ? [one, other] : [other, one]
        const toMs = Math.min(first.toMs ?? Infinity, second.toMs ?? Infinity)
        if (toMs <= second.fromMs) continue
        const both = calmMs(second.fromMs, toMs, troubles, [first.store, second.store], recoveryMs)
        if (both > slackMs) found.push(`${describe(first)} and at the same time ${describe(second)}`)
      }
    }
  }
  return found
}

/** Sessions at the old store while a move makes the last copy of the mailbox. */
export function findUncleared(
  visits: readonly Visit[],
  cleared: readonly Cleared[],
  troubles: readonly Trouble[],
  { endMs, recoveryMs }: Allowance,
): string[] {
  return cleared.flatMap(({ user, store, fromMs, toMs }) =>
    visits
      .filter(
        (visit) =>
          visit.user === user &&
          visit.store === store &&
          calmMs(
            Math.max(fromMs, visit.fromMs),
            Math.min(toMs, visit.toMs ?? Infinity),
            troubles,
            [store],
            recoveryMs,
          ) > endMs,
      )
      .map((visit) => `${describe(visit)}: during the last copy of a move, from ${Math.round(fromMs)} ms`),
  )
}

function describe({ user, store, fromMs, toMs }: Visit): string {
  return `${user} at ${store} from ${Math.round(fromMs)} to ${toMs === undefined ? 'the end' : Math.round(toMs)} ms`
}

function tell(history: readonly RouteChange[]): string {
  return history
    .slice(-8)
    .map(({ store = 'hold', sentMs, ackedMs }) => `${store} ${Math.round(sentMs)}-${Math.round(ackedMs)}`)
    .join(', ')
}
