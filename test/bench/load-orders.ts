/** What the measure and its load generator, a child process, say to each other. */

export type Protocol = 'imap' | 'pop3'

export type Operation = 'login' | 'noop' | 'fetch' | 'append'

/** How to get in: a port, what is spoken there, and whether TLS comes first. */
export type Entry = { port: number; protocol: Protocol; tls: boolean; proxyHeader?: true }

export type Order =
  /** logs in once with the right password, fetches a message over IMAP, logs out; and once with a wrong one, which must be refused */
  | ({ do: 'prove' } & Entry)
  /** opens so many sessions and logs them in; they stay until `close` */
  | ({ do: 'open'; sessions: number } & Entry)
  /**
   * Keeps `connections` operations under way for so long, then waits for the last ones; all but `login` use the open sessions.
   * With `resume`, each login resumes the TLS session of the one before it, the first one that of an open session.
   */
  | ({ do: 'run'; operation: Operation; connections: number; seconds: number; resume: boolean } & Entry)
  | { do: 'close' }

/** Wall-clock figures of a run, as the client sees them. */
export type LoadFigures = {
  operations: number
  seconds: number
  p50Us: number
  p99Us: number
  /** of the logins, those whose TLS session was resumed, by the client's own TLS library */
  resumed: number
}

export type LoadAnswer = { figures: LoadFigures | undefined; handshake: string | undefined }
