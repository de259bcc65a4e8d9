/** What the measure and its load generator, a child process, say to each other. */

/** user0@example.test and so on, who log in one after the other. */
export const USERS = 1000

export type Operation = 'login' | 'noop' | 'fetch'

export type Order =
  /** opens so many sessions and logs them in; they stay until `close` */
  | { do: 'open'; port: number; tls: boolean; sessions: number }
  /** keeps `connections` operations under way for so long, then waits for the last ones; all but `login` use the open sessions */
  | { do: 'run'; operation: Operation; port: number; tls: boolean; connections: number; seconds: number }
  | { do: 'close' }

/** Wall-clock figures of a run, as the client sees them. */
export type LoadFigures = { operations: number; seconds: number; p50Us: number; p99Us: number }

export type LoadAnswer = { figures: LoadFigures | undefined; handshake: string | undefined }
