/** The clock of logins: given to them, so that a test runs hours of waiting in milliseconds. */

import { systemAlarm, type AlarmClock } from '../clock.ts'

/** Disposing it stops it. */
export type Timer = Disposable

export type LoginClock = AlarmClock & {
  /** of a monotonic clock */
  nowMs(): number
}

export const SYSTEM_CLOCK: LoginClock = {
  nowMs: () => performance.now(),
  ...systemAlarm,
}

export function stop(timer: Timer | undefined): void {
  timer?.[Symbol.dispose]()
}
