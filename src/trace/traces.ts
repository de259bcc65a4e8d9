/**
 * The traces in force in this worker. An order is repeated twice a second while its reader is there, and brings back the lines. A trace
 * ends with its time, and when no order comes any more. While none is in force, `isOn` is all that a session asks.
 */
import type { TraceOrder, TraceReport } from './line.ts'
import { ArmedTrace } from './armed.ts'
import { SessionTrace, type TracedSession } from './session-trace.ts'

/** Each costs a comparison for each line of the sessions under trace. */
export const MAX_TRACES = 8
/** Characters of first lines that sessions of unknown users keep, together: some thousand sessions. */
export const MAX_HISTORY_LENGTH = 4 * 1024 * 1024
/** How often it is looked whether a trace is over. */
const LOOK_EVERY_MS = 500

const NOTHING: TraceReport = { lines: [], dropped: 0 }

export type Traces = {
  /** whether any trace is in force */
  readonly isOn: boolean
  /** To be called for a new session while `isOn`. */
  begin(session: TracedSession): SessionTrace
  /** Begins a trace, or goes on with it. */
  collect(order: TraceOrder): TraceReport
  /** Ends a trace, if it is in force. @returns its last lines */
  end(id: string): TraceReport
  /** @param change called when the first trace begins and when the last one has ended */
  onChange(change: (isOn: boolean) => void): void
}

/** @param running the sessions that run */
export function createTraces(
  running: () => Iterable<TracedSession>,
  nowMs: () => number = () => performance.now(),
): Traces & { sweep(): void } {
  const armed = new Map<string, ArmedTrace>()
  let historyLength = 0
  let timer: NodeJS.Timeout | undefined
  let changed: (isOn: boolean) => void = () => undefined
  const book = {
    armed,
    reserve(length: number): boolean {
      if (historyLength + length > MAX_HISTORY_LENGTH) return false
      historyLength += length
      return true
    },
    release: (length: number): void => void (historyLength -= length),
  }

  function begin(session: TracedSession): SessionTrace {
    return (session.trace ??= new SessionTrace(session, book))
  }

  function arm({ id, filter }: TraceOrder): ArmedTrace | undefined {
    if (armed.size >= MAX_TRACES) return undefined
    const trace = new ArmedTrace(id, filter)
    armed.set(id, trace)
    if (armed.size === 1) {
      traces.isOn = true
      timer = setInterval(sweep, LOOK_EVERY_MS).unref()
      changed(true)
    }
    for (const session of running()) {
      if (!trace.mayMatch(session)) continue
      const { relay } = session
      if (relay && !trace.matches(session)) continue
      begin(session)
      if (relay) session.trace?.follow(relay)
    }
    return trace
  }

  function end(id: string): TraceReport {
    const report = armed.get(id)?.take() ?? NOTHING
    if (!armed.delete(id) || armed.size > 0) return report
    traces.isOn = false
    clearInterval(timer)
    for (const session of running()) {
      session.trace?.end()
      session.trace = undefined
    }
    changed(false)
    return report
  }

  function sweep(): void {
    for (const [id, trace] of armed) if (trace.isOver(nowMs())) end(id)
  }

  const traces = {
    isOn: false,
    begin,
    collect(order: TraceOrder): TraceReport {
      const trace = armed.get(order.id) ?? arm(order)
      if (!trace) return { ...NOTHING, refused: true }
      trace.extend(order.leftMs, nowMs())
      return trace.take()
    },
    end,
    onChange: (change: (isOn: boolean) => void) => void (changed = change),
    sweep,
  }
  return traces
}
