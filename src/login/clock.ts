/** The clock of logins: given to them, so that a test runs hours of waiting in milliseconds. */

/** Disposing it stops it. */
export type Timer = Disposable

export type LoginClock = {
  /** of a monotonic clock */
  nowMs(): number
  /** Calls `run` once after `ms`. */
  after(ms: number, run: () => void): Timer
}

export const SYSTEM_CLOCK: LoginClock = {
  nowMs: () => performance.now(),
  after: (ms, run) => setTimeout(run, ms),
}

export function sleep(clock: LoginClock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve))
}

export function stop(timer: Timer | undefined): void {
  timer?.[Symbol.dispose]()
}
