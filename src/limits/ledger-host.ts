/** The side of the ledger that serves several processes: it knows what each of them holds, and releases that when a process has ended. */
import { ask, keysOf, type LedgerNote, type LedgerQuestion, type LedgerReply } from './ledger-calls.ts'
import type { Ledger } from './ledger.ts'

/** One process that uses the ledger. */
export type LedgerMember = {
  ask: (asked: LedgerQuestion) => Promise<LedgerReply>
  note: (note: LedgerNote) => void
  /** The process has ended. Messages of it that arrive later have no effect. */
  end: () => void
}

export type LedgerHost = { join: () => LedgerMember }

export function createLedgerHost(ledger: Ledger): LedgerHost {
  return { join: () => createMember(ledger) }
}

function createMember(ledger: Ledger): LedgerMember {
  const held = new Map<string, number>()
  let ended = false
  const hasEnded = (): boolean => ended

  function release(keys: readonly string[]): void {
    const own = keys.filter((key) => {
      const count = held.get(key) ?? 0
      if (count > 1) held.set(key, count - 1)
      else held.delete(key)
      return count > 0
    })
    if (own.length > 0) ledger.release(own)
  }

  return {
    async ask(asked) {
      if (hasEnded()) throw new Error('this process has ended')
      const reply = await ask(ledger, asked)
      if ('login' in reply || reply.taken !== undefined) return reply
      const keys = keysOf(asked)
      if (hasEnded()) ledger.release(keys)
      else for (const key of keys) held.set(key, (held.get(key) ?? 0) + 1)
      return reply
    },
    note(note) {
      if (hasEnded()) return
      if (note.what === 'release') release(note.keys)
      else ledger.noteFailure(note.attempt)
    },
    end() {
      ended = true
      ledger.release([...held].flatMap(([key, count]) => Array<string>(count).fill(key)))
      held.clear()
    },
  }
}
