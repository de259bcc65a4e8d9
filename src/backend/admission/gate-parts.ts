/** What a gate is given, and what it tells. */
import type { BackendLimits } from '../../config/settings.ts'
import type { Log } from '../../log.ts'
import type { LimitName, WaitOutcome } from './wait.ts'

export type GateFacts = {
  backend: string
  sessions: number
  logins: number
  waiting: number
  limits: BackendLimits
  /** the limits during a slow start; undefined outside of one */
  slowStart: { logins: number; loginsPerSecond: number } | undefined
}

export type GateParts = {
  log: Log
  loginWaited: (backend: string, limit: LimitName, outcome: WaitOutcome, ms: number) => void
  nowMs: () => number
  /** from 0 to 1 */
  random: () => number
  /** called when a wait begins: from then on `tick` must be called */
  onWait: () => void
  /**
   * Called when a login waits for a limit that is leased. `sessions` and `logins` are leased if this is given: each is 0 until `lease`
   * has been called, and the configured value is that of all gates of this back end, in other processes too.
   */
  onShort?: (() => void) | undefined
}

/** The limits that can be leased. The others are divided among the workers of an instance. */
export type LeasedLimits = Pick<BackendLimits, 'sessions' | 'logins'>

/** What counts for the leased limits. `sessions` includes logins. */
export type GateUse = { sessions: number; logins: number; waiting: number }
