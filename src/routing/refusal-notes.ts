/** Reports refused routes: in words for the log, and by a reason of a closed set for the metric. */
import type { RouteInvalid } from '../directory/errors.ts'
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'
import type { RouteFault } from '../metrics/metrics.ts'

/** Called for each login that is refused for its route. */
export type NoteRefusal = (user: string, route: RouteInvalid) => void

/**
 * Logs one line a minute for each fault: an error in a script can affect many users, and their clients try again.
 * @param count called for each refusal, logged or not
 */
export function createRefusalNotes(log: Log, count: (fault: RouteFault) => void, nowMs: () => number): NoteRefusal {
  const limit = createLogLimit<RouteFault>(nowMs)
  return (user, { fault, message }) => {
    count(fault)
    const others = limit(fault)
    // Each refused login has its own line "login refused", so the number of the others is enough here.
    if (others) log.error({ fault, user, detail: message, ...others }, 'route refused')
  }
}
