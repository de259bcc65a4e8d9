/** The options of a relay, its handle, and its end. */
import type { GateCause, RelayWatch } from './gate.ts'

/** Why mailmux ends a session at a safe point. Each has a goodbye. */
export type LeaveCause = 'shutdown' | 'idle' | 'moved' | 'drained' | 'rebalanced' | 'kicked' | 'disabled'

export type RelayCause =
  | 'client-closed'
  | 'backend-closed'
  | 'client-reset'
  | 'backend-reset'
  | 'half-closed-too-long'
  | 'shutdown-deadline'
  | LeaveCause
  | GateCause

export type RelayCounts = { bytesFromClient: number; bytesFromBackend: number }

/** `cut`: the session had not come to a safe point when its time was over */
export type RelayEnding = RelayCounts & { cause: RelayCause; cut?: true }

/** A running relay. */
export type RelayHandle = {
  /** where a trace may read along */
  readonly progress: { changeWatch(change: (watch: RelayWatch) => RelayWatch): boolean }
  /** resolves when both sockets are closed */
  readonly ended: Promise<RelayEnding>
  /**
   * Ends the relay with the goodbye for `why` once no command is in progress and everything that came has been written; at once where that is
   * so. What cannot be followed ends after two seconds of silence that follow an answer. A second call changes the reason, and may only
   * shorten the time; after the end it does nothing.
   * @param withinMs the relay is cut, whatever is in progress, by the first sweep after this time; undefined: never
   */
  endWhenSafe(why: LeaveCause, withinMs?: number): void
  /** Ends the relay now, whatever is in progress, without a goodbye. */
  end(cause: RelayCause): void
  /** no command is in progress, and neither side has sent anything since the last sweep */
  isResting(): boolean
  /** how long neither side has sent anything, in steps of a sweep */
  readonly silentMs: number
  /** octets carried until now */
  readonly counts: RelayCounts
}

export type RelayOptions = {
  idleMs: number
  /** sent to the client when the relay ends at a safe point; may be empty */
  goodbye: Record<LeaveCause, string>
  /** what the dialogue read from each side and did not use; goes first */
  unreadFromClient: Buffer | undefined
  unreadFromBackend: Buffer | undefined
  /** follows the session; undefined where its content cannot be read */
  watch: RelayWatch | undefined
  /**
   * The time over which the clients of a back end that hangs up are told, in milliseconds, if they are at rest; 0: at once. Limit
   * `spread_disconnects`.
   */
  spreadMs: number
  /** is told what was carried since it was last told, about once a second and at the end */
  account: (bytesFromClient: number, bytesFromBackend: number) => void
}
