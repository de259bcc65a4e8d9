/** A wait for a slot: its options, the limits that cause it, and its outcomes. */
import type { ProtocolName } from '../../config/settings.ts'

/** The limit that is reached. `state`: the back end is paused or drains. `slow_start`: the reduced limits after an outage. `per_address`: the share of the client's network. */
export type LimitName = 'sessions' | 'logins' | 'logins_per_second' | 'slow_start' | 'per_address' | 'state'

/** The end of a wait. */
export type WaitOutcome =
  | 'admitted'
  | 'timed-out'
  | 'queue-full'
  | 'client-left'
  | 'backend-down'
  | 'shutting-down'
  /** the back end was paused: another wait begins */
  | 'paused'

export type WaitOptions = {
  /** the protocol of the login */
  protocol: ProtocolName
  /** the client's, for the share of its network; undefined if no client has an address */
  address?: string | undefined
  /** the network has logged the user in before: the login goes ahead of those of which this is not known */
  isKnown?: boolean
  /** the caller's own deadline, on the clock of the gate */
  untilMs: number
  /** the deadline of a login whose back end is paused, on the same clock */
  holdUntilMs: number
  /** ends the wait with its reason as the error, when the client has closed */
  signal: AbortSignal
  /** called from time to time during the wait */
  stillWaiting: () => void
}

const REASSURE_MS = 10_000
const REASSURE_JITTER_MS = 5000

/**
 * The interval of messages to a client that waits for an operator: 10 to 15 s. The shortest read timeout of a client that is known is 20 s
 * (FairEmail). The interval is random, so that thousands of clients do not get their messages at the same moment.
 * @param random from 0 to 1
 */
export function reassureMs(random: () => number): number {
  return REASSURE_MS + REASSURE_JITTER_MS * random()
}
