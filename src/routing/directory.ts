/** What the router asks: which back end holds this mailbox? A directory answers from its own store and decides nothing. */

import type { Trace } from './trace.ts'

export type DirectoryEntry = { backend: string; login: string | undefined; status: 'active' | 'hold' | 'disabled' }

/** Where an answer comes from: asked for now, known and current, or known from before an outage. */
export type AnswerSource = 'directory' | 'cache' | 'stale'

export type DirectoryAnswer = { entry: DirectoryEntry | undefined; source: AnswerSource }

export type Directory = {
  /**
   * @param user a normalised name
   * @param trace hears of each step; with it nothing is remembered of the lookup
   * @throws MuxError `directory-unavailable`, or `route-invalid` where the entry makes no sense
   */
  lookup(user: string, trace?: Trace): Promise<DirectoryAnswer>
  /** A back end has refused the user, so that what is remembered may be wrong: the next lookup asks. */
  doubt(user: string): void
  /** resolves when the directory can be asked for the first time, and not before */
  readonly connected: Promise<void>
  close(): Promise<void>
}
