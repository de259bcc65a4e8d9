/** What a relay is given, and how it says that it ended. */
import type { GateCause, RelayGuard } from './gate.ts'

export type RelayCause =
  | 'client-closed'
  | 'backend-closed'
  | 'client-reset'
  | 'backend-reset'
  | 'idle'
  | 'half-closed-too-long'
  | 'shutdown'
  | 'shutdown-deadline'
  | GateCause

export type RelayEnding = { cause: RelayCause; bytesFromClient: number; bytesFromBackend: number }

export type RelayOptions = {
  idleMs: number
  /** sent to the client when the relay is ended while it is quiet; may be empty */
  goodbye: { shutdown: string; idle: string }
  /** what the dialogue read from each side and did not use; goes first */
  unreadFromClient: Buffer | undefined
  unreadFromBackend: Buffer | undefined
  /** decides what of the session may go on; undefined where everything may */
  guard: RelayGuard | undefined
  /** is told what was carried since it was last told, about once a second and at the end */
  account: (bytesFromClient: number, bytesFromBackend: number) => void
}
