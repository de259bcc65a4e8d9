/**
 * The ledger of a worker: the one of the supervisor, asked by messages. Without an answer in time a connection or login goes on, and holds
 * nothing: a supervisor that hangs must not stop mail.
 */
import { keysOf, type LedgerNote, type LedgerQuestion, type LedgerReply } from './ledger-calls.ts'
import type { Ledger, Taken } from './ledger.ts'

/** The supervisor answers within a millisecond. A client waits no longer than this for its greeting. */
const ANSWER_MS = 500

export type RemoteLedger = {
  ledger: Ledger
  /** The answer to the question with this id. */
  hear: (id: number, reply: LedgerReply) => void
}

export type LedgerChannel = {
  ask: (id: number, asked: LedgerQuestion) => void
  note: (note: LedgerNote) => void
}

type Waiting = { asked: LedgerQuestion; settle: (reply: LedgerReply | undefined) => void; isLate: boolean }

/** @param unanswered called for each question without an answer in time */
export function createRemoteLedger(channel: LedgerChannel, unanswered: () => void): RemoteLedger {
  const waiting = new Map<number, Waiting>()
  let questions = 0

  function put(asked: LedgerQuestion): Promise<LedgerReply | undefined> {
    const id = questions++
    return new Promise((resolve) => {
      const one: Waiting = { asked, settle, isLate: false }
      const timer = setTimeout(() => {
        one.isLate = true // what a late answer has taken is given back then
        unanswered()
        resolve(undefined)
      }, ANSWER_MS)
      function settle(reply: LedgerReply | undefined): void {
        clearTimeout(timer)
        resolve(reply)
      }
      waiting.set(id, one)
      channel.ask(id, asked)
    })
  }

  async function take(asked: LedgerQuestion): Promise<Taken> {
    const reply = await put(asked)
    return reply && 'taken' in reply ? reply.taken : 'unanswered'
  }

  return {
    ledger: {
      takeConnection: (question) => take({ what: 'takeConnection', question }),
      async askLogin(question) {
        const reply = await put({ what: 'askLogin', question })
        return reply && 'login' in reply ? reply.login : { overrun: undefined, delayMs: 0, isKnown: false }
      },
      takeSession: (question) => take({ what: 'takeSession', question }),
      release: (keys) => channel.note({ what: 'release', keys }),
      noteFailure: (attempt) => channel.note({ what: 'noteFailure', attempt }),
    },
    hear(id, reply) {
      const one = waiting.get(id)
      if (!one) return
      waiting.delete(id)
      if (!one.isLate) {
        one.settle(reply)
        return
      }
      const keys = 'taken' in reply && reply.taken === undefined ? keysOf(one.asked) : []
      if (keys.length > 0) channel.note({ what: 'release', keys })
    },
  }
}
