/**
 * The logins that are held back because passwords were wrong: a refusal that is not due yet, or the delay of a penalty. Under a flood of
 * guesses nearly all connections are of these. When there are as many connections as there may be, the oldest of them ends, so that a
 * client that has just connected is served.
 */
import { MuxError } from '../errors.ts'

/** `refused`: its password was wrong; `delayed`: it may be right. */
export type HeldKind = 'refused' | 'delayed'

/** The session of a login that is held back. */
export type HeldSession = {
  readonly listener: { readonly name: string }
  /** Gives back what its connection holds of limits, as a connection that takes its place is counted at once. */
  releaseLease(): void
}

export type HeldBack = {
  /**
   * @param end ends the wait with the error, and takes it out
   * @returns takes it out
   */
  add(kind: HeldKind, session: HeldSession, end: (error: MuxError) => void): () => void
  /**
   * Ends the wait that is the oldest, of a refused login if there is one.
   * @param listener of this listener; undefined: of any
   * @returns false if there is no wait
   */
  endOldest(listener?: string): boolean
}

const DISPLACED = new MuxError('too-many-connections', 'its place was needed while its login was held back')

type Wait = { session: HeldSession; end: (error: MuxError) => void }

export function createHeldBack(): HeldBack {
  const all = createWaits()
  /** A search through the waits of all listeners would take too long: there are thousands. Only listeners with a wait are in it. */
  const byListener = new Map<string, Waits>()

  function takeOut(kind: HeldKind, wait: Wait): void {
    all[kind].delete(wait)
    const { name } = wait.session.listener
    const own = byListener.get(name)
    own?.[kind].delete(wait)
    if (own?.refused.size === 0 && own.delayed.size === 0) byListener.delete(name)
  }

  return {
    add(kind, session, end) {
      const wait = { session, end }
      const { name } = session.listener
      const own = byListener.get(name) ?? createWaits()
      byListener.set(name, own)
      all[kind].add(wait)
      own[kind].add(wait)
      return () => takeOut(kind, wait)
    },
    endOldest(listener) {
      const waits = listener === undefined ? all : byListener.get(listener)
      for (const kind of ['refused', 'delayed'] as const) {
        for (const wait of waits?.[kind] ?? []) {
          takeOut(kind, wait)
          wait.session.releaseLease()
          wait.end(DISPLACED)
          return true
        }
      }
      return false
    },
  }
}

type Waits = Record<HeldKind, Set<Wait>>

function createWaits(): Waits {
  return { refused: new Set(), delayed: new Set() }
}
