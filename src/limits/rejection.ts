/** The two results of a question to the limits: a rejection, or a lease of what is held. Pure. */
import type { ErrorCode } from '../errors.ts'

/** What can reject a connection or a login: the key of the configuration, or `block` for one by an operator. A label of a metric. */
export const LIMIT_NAMES = [
  'allow',
  'deny',
  'block',
  'max_connections',
  'connections_per_address',
  'connections_per_prefix',
  'connection_rate',
  'login_rate',
  'penalty',
  'sessions_per_user',
  'sessions_per_domain',
  'sessions_per_backend_user',
  'user_login_rate',
] as const

export type LimitName = (typeof LIMIT_NAMES)[number]

/**
 * `denied`: this client is not wanted here. `too-many`: there are as many connections or sessions as there may be. `too-fast`: they come
 * faster than they may.
 */
export type RejectionKind = 'denied' | 'too-many' | 'too-fast'

/** `detail` is for the log. */
export type Rejection = { limit: LimitName; kind: RejectionKind; detail: string }

/** What a connection or a session holds of limits until it ends. */
export type Lease = { release(): void }

/** The login goes on after this time, and then releases its place among the delayed logins. */
export type Delay = Lease & { delayMs: number }

/** The login goes on at once, and ahead of others: its network has logged that user in before, and no failures of that user delay it. */
export type Known = { isKnown: true }

export const KNOWN: Known = { isKnown: true }

export function isRejection(answer: Rejection | Lease | Known | undefined): answer is Rejection {
  return answer !== undefined && 'limit' in answer
}

export function codeOf({ kind }: Pick<Rejection, 'kind'>): ErrorCode {
  return kind === 'denied' ? 'client-denied' : 'client-over-limit'
}
