/**
 * What one ledger tells another one that counts in its place from now on: what is counted, as if it happened now, and then each change.
 * Plain data, for a ledger in another process. Times are relative, because the monotonic clocks of two processes differ.
 */
import type { Attempt, RateClaim } from './ledger.ts'
import type { KnownUser, SavedScore } from './penalty.ts'
import type { LimitName } from './rejection.ts'

export type LedgerChange =
  | { what: 'hold' | 'release'; keys: readonly string[] }
  /** so many more are held; negative: fewer */
  | { what: 'count'; key: string; count: number }
  | { what: 'takeRates'; claims: readonly RateClaim[] }
  | { what: 'noteFailure'; attempt: Attempt }
  | { what: 'noteKnown'; known: { network: string; user: string } }
  /** a rate as it stands: after `leftMs` all of it may be used again */
  | { what: 'rate'; limit: LimitName; key: string; leftMs: number }
  /** failures as they stand */
  | ({ what: 'score' } & SavedScore)
  | ({ what: 'known' } & KnownUser)
