/**
 * What the limits count: connections, sessions, rates, failed logins, and the addresses that have logged a user in. It knows no listener
 * and no configuration: each question carries its limits, so that a reload changes nothing here. One ledger serves all workers of an
 * instance. Every table is bounded.
 */
import type { PenaltySettings, Rate } from '../config/settings.ts'
import type { LimitName } from './rejection.ts'

/** One of at most `max` at a time. */
export type CountClaim = { limit: LimitName; key: string; max: number }
/** One more of what may happen so often. */
export type RateClaim = { limit: LimitName; key: string; rate: Rate }

export type Claims = { counts: readonly CountClaim[]; rates: readonly RateClaim[] }

/** A limit that is reached. `waitMs`: after this a rate allows one more. */
export type Overrun = { limit: LimitName; max: number; perMs?: number; waitMs?: number }

/** undefined: all of it is taken. `unanswered`: nothing is, and nothing is known. */
export type Taken = Overrun | 'unanswered' | undefined

/** `network`: that of the client, `site`: the larger one around it, where there is one. */
export type Origin = { network: string; site: string | undefined }

/** A failed login, or a question for the delay of the next one. `user`: undefined for a name that no user can have */
export type Attempt = Origin & { user: string | undefined; penalty: PenaltySettings }

/** `ifKnown`: is looked at, and not taken, for a client whose network has logged that user in before. */
export type LoginQuestion = {
  rates: readonly RateClaim[]
  ifKnown: Claims & { network: string; user: string }
  attempt: Attempt | undefined
}

/** `isKnown`: the network of the client has logged that user in before */
export type LoginAnswer = { overrun: Overrun | undefined; delayMs: number; isKnown: boolean }

/** `known`: the user, and the network from which that user is known from now on */
export type SessionQuestion = Claims & { known: { network: string; user: string } | undefined }

export type Ledger = {
  /** Takes all of the claims, or none. */
  takeConnection: (claims: Claims) => Taken | Promise<Taken>
  /** Whether a login may go on, and after which delay. */
  askLogin: (question: LoginQuestion) => LoginAnswer | Promise<LoginAnswer>
  /** As `takeConnection`, for a login that the back end has accepted. */
  takeSession: (question: SessionQuestion) => Taken | Promise<Taken>
  /** Gives back the counts of what has ended, by their keys. */
  release: (keys: readonly string[]) => void
  noteFailure: (attempt: Attempt) => void
}
