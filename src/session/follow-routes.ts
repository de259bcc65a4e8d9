/**
 * Ends running sessions whose user's route has changed: with `moved` where it names another back end, with `disabled` where the account
 * is disabled. The router decides. Where it has no certain answer (the directory is unavailable, the route is invalid or was removed)
 * the session stays.
 */
import { asMuxError } from '../errors.ts'
import type { Phase } from '../login/login.ts'
import type { Text } from '../octets.ts'

/** The part of a session that is needed. */
export type FollowedSession = {
  readonly phase: Phase
  readonly login: { readonly user: Text | undefined; readonly backend: string | undefined } | undefined
  end(why: 'moved' | 'disabled', withinMs?: number): void
}

/** The certain route of a user: the name of a back end, or that the account is disabled. */
export type CertainRoute = { backend: string } | 'disabled'

export type FollowParts = {
  sessions: () => Iterable<FollowedSession>
  /** @throws MuxError; a retryable one is asked again */
  routeOf: (user: Text) => Promise<CertainRoute | undefined>
  /** the name under which the route of a user is kept that mailmux has placed */
  placedName: (user: Text) => Text
  /** `follow_routes` */
  isOn: () => boolean
  endTimeoutMs: () => number
}

export type RouteFollower = {
  /** The route of this user has changed; undefined: any may have. */
  changed(user: Text | undefined): void
  close(): void
}

/** Changes are collected for so long. The promise is half a second from the change to the goodbye. */
const COLLECT_MS = 50
/** One batch of users each COLLECT_MS: 1,000 users a second are compared after an outage, with little load for the directory. */
const AT_ONCE = 50
/** Collected changes above this number are treated as a change of all, so that a bulk import takes no memory here. */
const MAX_CHANGED = 1000
/** Pause after the directory gave no answer. A lasting outage ends with a comparison of all users anyway. */
const AGAIN_MS = 5000

export function createRouteFollower({ sessions, routeOf, placedName, isOn, endTimeoutMs }: FollowParts): RouteFollower {
  const changes = new Set<Text>()
  let areAllChanged = false
  /** users to compare: each has a running session */
  const queue = new Set<Text>()
  const unanswered = new Set<Text>()
  let timer: NodeJS.Timeout | undefined
  let again: NodeJS.Timeout | undefined

  function schedule(): void {
    timer ??= setTimeout(() => void step(), COLLECT_MS).unref()
  }

  /** One pass over the sessions for all changes that were collected. */
  function collect(): void {
    if (!areAllChanged && changes.size === 0) return
    const stillRouted = new Set<Text>()
    for (const { phase, login } of sessions()) {
      const user = login?.user
      if (user === undefined || phase === 'login') continue
      if (!areAllChanged && !changes.has(user) && !changes.has(placedName(user))) continue
      // The lookup of a login under way may have been answered before the change.
      if (login?.backend === undefined) stillRouted.add(user)
      else queue.add(user)
    }
    changes.clear()
    areAllChanged = false
    for (const user of stillRouted) changes.add(user)
  }

  async function step(): Promise<void> {
    collect()
    const users = [...queue].slice(0, AT_ONCE)
    for (const user of users) queue.delete(user)
    const routes = new Map<Text, CertainRoute>()
    await Promise.all(
      users.map(async (user) => {
        try {
          const route = await routeOf(user)
          if (route) routes.set(user, route)
        } catch (error) {
          if (asMuxError(error).retryable) unanswered.add(user)
        }
      }),
    )
    if (routes.size > 0 && isOn()) for (const session of sessions()) follow(session, routes)
    timer = undefined
    if (queue.size > 0 || changes.size > 0 || areAllChanged) schedule()
    if (unanswered.size > 0) again ??= setTimeout(askAgain, AGAIN_MS).unref()
  }

  function follow(session: FollowedSession, routes: ReadonlyMap<Text, CertainRoute>): void {
    const { phase, login } = session
    if (phase === 'login' || login?.user === undefined || login.backend === undefined) return
    const route = routes.get(login.user)
    if (route === 'disabled') session.end('disabled', endTimeoutMs())
    else if (route && route.backend !== login.backend) session.end('moved', endTimeoutMs())
  }

  function askAgain(): void {
    again = undefined
    for (const user of unanswered) queue.add(user)
    unanswered.clear()
    schedule()
  }

  return {
    changed(user) {
      if (!isOn()) return
      if (user === undefined || changes.size >= MAX_CHANGED) areAllChanged = true
      else changes.add(user)
      schedule()
    },
    close() {
      clearTimeout(timer)
      clearTimeout(again)
    },
  }
}
