/** Routes that are refused, whoever wrote them: in words for the log, and under a reason of a closed set for the metric. */
import { MuxError } from '../errors.ts'
import type { Log } from '../log.ts'
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

/** One line a minute for each fault: one slip of a script is many users, and each of them tries again. */
const SAY_EVERY_MS = 60_000

/** @param count of every one, logged or not */
export function createRefusalNotes(log: Log, count: (fault: RouteFault) => void, nowMs: () => number): NoteRefusal {
  const said = new Map<RouteFault, { atMs: number; unsaid: number }>()
  return (user, { fault, message }) => {
    count(fault)
    const last = said.get(fault)
    if (last && nowMs() - last.atMs < SAY_EVERY_MS) {
      last.unsaid++
      return
    }
    said.set(fault, { atMs: nowMs(), unsaid: 0 })
    // Of those between the lines only the number is kept; each has its own "login refused".
    log.error(
      { fault, user, detail: message, ...(last && last.unsaid > 0 && { others: last.unsaid }) },
      'route refused',
    )
  }
}
