/** Which sessions end so that their clients connect again and spread over the instances anew. Pure. */
import { finish, hash } from '../rendezvous.ts'
import { buildMatcher, type SessionFilter } from './filter.ts'
import type { Session } from './session.ts'

export type Rebalance = {
  /** of the matching sessions that relay, over 0 and up to 1 */
  share: number
  /** the window; undefined: the default */
  overMs?: number | undefined
}

/**
 * A session before or in its login is not meant: its client has just connected. The choice is the same each time, so that a repeated order
 * ends no further session; those of a smaller share are among those of a larger one.
 */
export function chooseShare(running: Iterable<Session>, filter: SessionFilter, share: number): Session[] {
  const isMeant = buildMatcher(filter)
  const chosen: Session[] = []
  for (const session of running)
    if (session.relay && isMeant(session) && isInShare(session.id, share)) chosen.push(session)
  return chosen
}

/** Not the hash that gives the sessions their turns: the chosen ones would all have early turns. */
function isInShare(id: string, share: number): boolean {
  return finish(hash(`share ${id}`)) / 2 ** 32 < share
}
