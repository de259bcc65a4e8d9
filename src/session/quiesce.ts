/**
 * Whether the sessions of a user on hold have left a back end, for a move of the mailbox. Running sessions are ended at a safe point. A login that is
 * on its way there counts too: its lookup may have been answered before the hold.
 */
import { asMuxError } from '../errors.ts'
import type { Text } from '../octets.ts'
import type { Route } from '../routing/router.ts'
import type { FollowedSession } from './follow-routes.ts'

/** `left`: sessions and logins that are not over. `why`: this process does not see the hold, so that a login may still begin. */
export type Quiescence = { isHeld: true; left: number } | { isHeld: false; why: string }

export type QuiesceParts = {
  sessions: () => Iterable<FollowedSession>
  /** The route as a login would find it now. @throws MuxError */
  routeOf: (user: Text) => Promise<Route>
  /** the name under which the route of a user is kept that mailmux has placed */
  placedName: (user: Text) => Text
  endTimeoutMs: () => number
}

/**
 * To be called again until nothing is left.
 * @param user the name of the route
 * @param token of the hold: another hold is that of another move
 */
export async function quiesce(
  user: Text,
  backend: string,
  token: string,
  { sessions, routeOf, placedName, endTimeoutMs }: QuiesceParts,
): Promise<Quiescence> {
  let route: Route
  try {
    route = await routeOf(user)
  } catch (error) {
    return { isHeld: false, why: `the route of the user is not known: ${asMuxError(error).message}` }
  }
  if (route.kind !== 'hold') return { isHeld: false, why: 'the user is not on hold here' }
  // What is remembered from before an outage may be older than the end of the hold.
  if (route.source === 'stale' || route.source === 'snapshot')
    return { isHeld: false, why: 'the directory is unavailable here' }
  if (route.token !== token) return { isHeld: false, why: 'the user is on another hold' }
  let left = 0
  for (const session of sessions()) {
    const { phase, login } = session
    if (login?.user === undefined || phase === 'login') continue
    if (login.user !== user && placedName(login.user) !== user) continue
    if (login.backend === undefined) {
      if (phase === 'routing') left++ // else it waits for the end of the hold
    } else if (login.backend === backend) {
      left++
      session.end('moved', endTimeoutMs())
    }
  }
  return { isHeld: true, left }
}
