/** Errors of a directory that need more than a code. */
import { MuxError } from '../errors.ts'
import type { RouteFault } from '../metrics/metrics.ts'

/** The directory answers, but has lost its data. Its answers count no more than those of a directory that is away. */
export class DataLost extends MuxError {
  constructor(message: string) {
    super('directory-unavailable', message)
  }
}

/** What is wrong with a route. `message` may repeat a little of what the directory holds, and is for the log only. */
export class RouteInvalid extends MuxError {
  readonly fault: RouteFault

  constructor(fault: RouteFault, message: string, cause?: unknown) {
    super('route-invalid', message, cause)
    this.fault = fault
  }
}
