/**
 * The logins that are held back because passwords were wrong: a refusal that is not due yet, or the delay of a penalty. Under a flood of
 * guesses nearly all connections are of these. When there are as many connections as there may be, the oldest of them ends, so that a
 * client that has just connected is served.
 */
import { MuxError } from '../errors.ts'

/** `refused`: its password was wrong; `delayed`: it may be right. */
export type HeldKind = 'refused' | 'delayed'

export type HeldBack = {
  /**
   * @param end ends the wait with the error, and takes it out
   * @returns takes it out
   */
  add(kind: HeldKind, end: (error: MuxError) => void): () => void
  /** Ends the wait that is the oldest, of a refused login if there is one. @returns false if there is no wait */
  endOldest(): boolean
}

const DISPLACED = new MuxError('too-many-connections', 'its place was needed while its login was held back')

export function createHeldBack(): HeldBack {
  const held: Record<HeldKind, Set<(error: MuxError) => void>> = { refused: new Set(), delayed: new Set() }
  return {
    add(kind, end) {
      held[kind].add(end)
      return () => void held[kind].delete(end)
    },
    endOldest() {
      for (const waits of [held.refused, held.delayed]) {
        for (const end of waits) {
          waits.delete(end)
          end(DISPLACED)
          return true
        }
      }
      return false
    },
  }
}
