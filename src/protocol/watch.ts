/**
 * What follows a session after login. A watch sees everything that either side sends, in order, and knows whether a command is
 * in progress. An observer reads only; a guard also decides which octets go on.
 */

/** Sends a piece on to the other side. */
export type PassOn = (piece: Buffer) => void

/** Reads along with a session and changes nothing. It must keep no reference to a chunk after it returns. */
export type SessionObserver = {
  readonly mode: 'observe'
  /** @returns false where the session cannot be followed from here on (compressed octets, input of two meanings); then it is not called again */
  fromClient(chunk: Buffer): boolean
  /** @returns as fromClient */
  fromBackend(chunk: Buffer): boolean
  /** @returns whether the session may end now: no command is in progress, and neither side is inside a line, a literal or an answer */
  isIdle(): boolean
}

/** Decides what of a session may go on: it may hold what the client sends, and rewrite either direction. */
export type SessionGuard = {
  readonly mode: 'guard'
  /**
   * @param pass gets what goes on to the back end
   * @returns how many octets are dealt with: the rest has to be given again once the back end has sent something. Or why the session has to
   * end: a forbidden command, or input that servers may read in different ways
   */
  fromClient(chunk: Buffer, pass: PassOn): number | 'forbidden' | 'ambiguous'
  /**
   * @param pass gets what goes on to the client
   * @returns false where the session has to end, because the back end answers what was not asked
   */
  fromBackend(chunk: Buffer, pass: PassOn): boolean
  /** as of an observer */
  isIdle(): boolean
  /** the last line to the client of a session that ends at a forbidden command; empty: it ends without one */
  readonly farewell: string
}

export type SessionWatch = SessionObserver | SessionGuard
