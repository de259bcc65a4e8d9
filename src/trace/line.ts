/** One line of a trace, as a worker tells it. It holds no credential. */

/** Who sends to whom; `note`: what mailmux does. */
export type Leg = 'from-client' | 'to-client' | 'to-backend' | 'from-backend' | 'note'

export type TraceLine = {
  /** in milliseconds of the epoch, by the clock of the machine */
  atMs: number
  session: string
  leg: Leg
  text: string
}

/** Which sessions. At least one field is given; all that are given must match. */
export type TraceFilter = {
  /** the name by which the last login was routed */
  user?: string | undefined
  /** an address or a network */
  client?: string | undefined
  /** its id */
  session?: string | undefined
}

/** Begins a trace, or goes on with it: an order is repeated until the trace is to end. */
export type TraceOrder = {
  id: string
  filter: TraceFilter
  /** how long it is to run from now */
  leftMs: number
}

export type TraceReport = {
  /** those since the last report */
  lines: TraceLine[]
  /** lines that were over a limit since the last report */
  dropped: number
  /** there are as many traces as there may be, and this one is none of them */
  refused?: true
}
