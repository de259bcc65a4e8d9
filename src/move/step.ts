/** One step of a move: its deadline, what may end it early, and its failure. */

export type MoveClock = {
  /** monotonic */
  nowMs: () => number
  /** Resolves after `ms`, and early when the signal is aborted. */
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>
}

/** The failure of a step, in words for the operator. */
export class StepFailed extends Error {
  /** a later attempt may succeed without a change */
  readonly isTemporary: boolean

  constructor(why: string, { isTemporary = false }: { isTemporary?: boolean } = {}) {
    super(why)
    this.isTemporary = isTemporary
  }

  /** Anything thrown. Failures of the directory are temporary. */
  static of(error: unknown): StepFailed {
    if (error instanceof StepFailed) return error
    const isTemporary = error instanceof Error && 'retryable' in error && error.retryable === true
    return new StepFailed(error instanceof Error ? error.message : String(error), { isTemporary })
  }
}

/** After an abort the work has this long to end: a command gets SIGTERM, and 2 s later SIGKILL. */
const STOP_MS = 5000

/**
 * @param deadlineMs Infinity for none
 * @param ends signals that end the step, whose reason becomes the failure
 * @param work gets a signal that is aborted when the step ends
 * @throws StepFailed; what the work throws
 */
export async function runStep<T>(
  clock: MoveClock,
  deadlineMs: number,
  ends: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController()
  const early = Promise.withResolvers<never>()
  early.promise.catch(() => undefined)
  for (const end of ends) {
    if (end.aborted) throw StepFailed.of(end.reason)
    end.addEventListener('abort', () => early.reject(StepFailed.of(end.reason)), { once: true, signal: own.signal })
  }
  if (deadlineMs !== Infinity) void expire()
  const working = work(own.signal)
  try {
    return await Promise.race([working, early.promise])
  } catch (error) {
    own.abort()
    const stopped = new AbortController()
    const over = (): void => stopped.abort()
    await Promise.race([working.then(over, over), clock.sleep(STOP_MS, stopped.signal)])
    throw error
  } finally {
    own.abort()
  }

  async function expire(): Promise<void> {
    await clock.sleep(deadlineMs, own.signal)
    early.reject(new StepFailed(`it was not finished within ${seconds(deadlineMs)}`, { isTemporary: true }))
  }
}

/** @returns whether `wait` has resolved within `ms`. Leaves no timer behind, which would keep a process running that has nothing to do. */
export async function resolvesWithin(clock: MoveClock, ms: number, wait: Promise<unknown>): Promise<boolean> {
  const ended = new AbortController()
  try {
    return await Promise.race([wait.then(() => true), clock.sleep(ms, ended.signal).then(() => false)])
  } finally {
    ended.abort()
  }
}

/** Pause between two attempts while the directory gives no answer. */
const RETRY_MS = 500

/**
 * Repeats a request that may be repeated until it is answered or the step ends.
 * @param note called with each new cause
 */
export async function untilAnswered<T>(
  clock: MoveClock,
  signal: AbortSignal,
  note: (detail: string) => void,
  ask: () => Promise<T>,
): Promise<T> {
  let said: string | undefined
  for (;;) {
    signal.throwIfAborted()
    try {
      return await ask()
    } catch (error) {
      const failed = StepFailed.of(error)
      if (!failed.isTemporary || error instanceof StepFailed) throw error
      if (failed.message !== said) note(failed.message)
      said = failed.message
    }
    await clock.sleep(RETRY_MS, signal)
  }
}

/** `12 ms`, `0.2 s`, `45 s`, `6 h` */
export function seconds(ms: number): string {
  if (Math.round(ms) < 100) return `${Math.round(ms)} ms`
  if (ms >= 2 * 3600_000) return `${Math.round(ms / 3600_000)} h`
  if (ms >= 2 * 60_000) return `${Math.round(ms / 60_000)} min`
  return `${ms >= 10_000 ? Math.round(ms / 1000) : Math.round(ms / 100) / 10} s`
}
