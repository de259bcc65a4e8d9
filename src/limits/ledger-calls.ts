/** The questions to a ledger as plain data, for a ledger in another process. */
import type { Attempt, Claims, Ledger, LoginAnswer, LoginQuestion, SessionQuestion, Taken } from './ledger.ts'

/** Those that have an answer. */
export type LedgerQuestion =
  | { what: 'takeConnection'; question: Claims }
  | { what: 'askLogin'; question: LoginQuestion }
  | { what: 'takeSession'; question: SessionQuestion }

/** Those that have none. */
export type LedgerNote = { what: 'release'; keys: readonly string[] } | { what: 'noteFailure'; attempt: Attempt }

export type LedgerReply = { taken: Taken } | { login: LoginAnswer }

export async function ask(ledger: Ledger, asked: LedgerQuestion): Promise<LedgerReply> {
  switch (asked.what) {
    case 'takeConnection':
      return { taken: await ledger.takeConnection(asked.question) }
    case 'askLogin':
      return { login: await ledger.askLogin(asked.question) }
    case 'takeSession':
      return { taken: await ledger.takeSession(asked.question) }
  }
}

/** What a question takes if there is no overrun, by key. */
export function keysOf(asked: LedgerQuestion): string[] {
  return asked.what === 'askLogin' ? [] : asked.question.counts.map(({ key }) => key)
}
