/** Routes that are refused, whoever wrote them: in words for the log, and under a reason of a closed set for the metric. */
import { MuxError } from '../errors.ts'
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'
import type { RouteFault } from '../metrics/metrics.ts'

/** What is wrong with a route. `message` may repeat a little of what the directory holds, and is for the log. */
export class RouteInvalid extends MuxError {
  readonly fault: RouteFault

  constructor(fault: RouteFault, message: string, cause?: unknown) {
    super('route-invalid', message, cause)
    this.fault = fault
  }
}

/** Told of each login that was refused for its route. */
export type NoteRefusal = (user: string, route: RouteInvalid) => void

/**
 * One line a minute for each fault: an error in a script can affect many users, and their clients try again.
 * @param count called for each refusal, logged or not
 */
export function createRefusalNotes(log: Log, count: (fault: RouteFault) => void, nowMs: () => number): NoteRefusal {
  const limit = createLogLimit<RouteFault>(nowMs)
  return (user, { fault, message }) => {
    count(fault)
    const others = limit(fault)
    // Each refused login has its own line "login refused", so that the number of the others is enough here.
    if (others) log.error({ fault, user, detail: message, ...others }, 'route refused')
  }
}
