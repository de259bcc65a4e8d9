/**
 * The two clocks. Durations, ages and deadlines are of `performance.now()`, which no step of the wall clock moves. The wall clock is for
 * what people read and what other machines compare, and only the files that the import law's test names may read it.
 */

/** @param ms of `performance.now()`. @returns the same moment in milliseconds of the epoch, by the wall clock as it is now */
export function toEpochMs(ms: number): number {
  return Math.round(Date.now() - performance.now() + ms)
}

/** Calls `run` once after `ms`; disposing what it returns prevents that. Real, or virtual in a test. */
export type AlarmClock = { after(ms: number, run: () => void): Disposable }

/** The longest delay of a timer in Node is 2^31 - 1 ms; a longer one would end at once. */
const LONGEST_MS = 2 ** 31 - 1

export const systemAlarm: AlarmClock = { after: (ms, run) => setTimeout(run, Math.min(ms, LONGEST_MS)) }

/** Resolves after `ms`, and early when the signal is aborted. No timer is left then. */
export function sleep(clock: AlarmClock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = (): void => {
      timer[Symbol.dispose]()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = clock.after(ms, end)
    signal?.addEventListener('abort', end)
  })
}

/**
 * A clock that stands still while this process does: a machine that was suspended, or SIGSTOP. The silence of a peer is measured by it,
 * since what the peer has sent meanwhile has not been read yet.
 * @param mostMs how much it advances at most from one reading to the next: more than the usual time between two
 */
export function createRunningClock(mostMs: number, nowMs: () => number = () => performance.now()): () => number {
  let last = nowMs()
  let ran = 0
  return () => {
    const now = nowMs()
    ran += Math.min(Math.max(0, now - last), mostMs)
    last = now
    return ran
  }
}

/** How often it is seen that the process runs. */
const TICK_MS = 500
/** More than a busy event loop is late by. */
const STALL_MS = 2000
/** Deadlines that ran out during a stall are dealt with in this time after it. */
const AFTER_MS = 1000

export type StallWatch = {
  /** The process has not run for seconds, until just now: a deadline that has passed is not the fault of a peer, whose answer may be unread. */
  hasStalled: () => boolean
  stop: () => void
}

export function watchStalls(nowMs: () => number = () => performance.now()): StallWatch {
  let tickMs = nowMs()
  let stalledMs = -Infinity
  // Timers that are due run in any order: whichever asks first after a stall finds it.
  const look = (): boolean => {
    const now = nowMs()
    if (now - tickMs > STALL_MS) stalledMs = now
    return now - stalledMs < AFTER_MS
  }
  const timer = setInterval(() => {
    look()
    tickMs = nowMs()
  }, TICK_MS)
  timer.unref()
  return { hasStalled: look, stop: () => clearInterval(timer) }
}
