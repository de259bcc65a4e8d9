/** A wait for a slot: what the waiting login states, which limit it waits for, and how the wait ends. */
import type { ProtocolName } from '../../config/settings.ts'

/** Which limit keeps a login out; `slow_start` is what is left of the others for a while, `per_address` the share of one client. */
export type LimitName = 'sessions' | 'logins' | 'logins_per_second' | 'slow_start' | 'per_address'

/** How a wait ended. */
export type WaitOutcome = 'admitted' | 'timed-out' | 'queue-full' | 'client-left' | 'backend-down' | 'shutting-down'

export type WaitOptions = {
  /** what it is to speak there */
  protocol: ProtocolName
  /** the client's, which has a share of the logins and of the queue; undefined where no client has an address */
  address?: string | undefined
  /** the caller's own deadline, on the clock of the gate */
  untilMs: number
  /** ends the wait when the client has gone, with its reason as the error */
  signal: AbortSignal
  /** told from time to time that it goes on */
  stillWaiting: () => void
}
