/**
 * What every mail protocol gives the session, and what it is given: lines to read and write, nothing that is a socket or a timer.
 * A new protocol is a folder with the same files and one entry in `protocols.ts`.
 */
import type { ProtocolName } from '../config/settings.ts'
import type { Secret } from '../secret.ts'

/** One side of the conversation. Reads end with a MuxError when the side is gone or its time is up. Text is latin1: one character an octet. */
export type Wire = {
  readLine(maxBytes: number): Promise<string>
  readBytes(count: number): Promise<string>
  write(text: string): void
  /** Hands the connection to TLS. Stops reading at once, in the same turn: bytes that came in clear and were not asked for end the connection. */
  startTls(): Promise<void>
  /** true once everything on this side is encrypted */
  readonly secure: boolean
}

/** What the client asked to be logged in as. Names and secrets are octets (latin1) as they came. */
export type LoginAttempt = {
  /** the name that decides the route: the authzid where one was given */
  user: string
  mechanism: 'LOGIN' | 'PLAIN' | 'USER'
  /** whose password it is; differs from `user` only where the client acts for another (RFC 4616 authzid) */
  authcid: string
  password: Secret
}

/** The same for the back end: `user` is the mailbox, under the name it has there. */
export type BackendLogin = { user: string; authcid: string; password: Secret; startTls: boolean }

/** Why a login was not accepted, in terms that every protocol has an answer for. */
export type Refusal =
  | {
      reason:
        | 'authentication-failed'
        | 'authorization-failed'
        | 'disabled'
        | 'unavailable'
        | 'misconfigured'
        | 'privacy-required'
    }
  /** the back end's own code and words, which mean something to the user: LIMIT, EXPIRED, IN-USE ... */
  | { reason: 'passed-on'; code: string; text: string }

export type Acceptance = {
  /** lines to hand on before the answer, such as an ALERT */
  untagged: readonly string[]
  /** what the back end can do now that the user is logged in, if it said so inside its answer or beside it */
  capability: { words: string; where: 'answer' | 'beside' } | undefined
  /** another response code of the answer, with its arguments */
  code: string | undefined
  text: string
}

export type LoginAnswer = ({ accepted: true } & Acceptance) | { accepted: false; refusal: Refusal; detail: string }

/** What a dialogue must know of its listener and of mailmux. */
export type DialogueFacts = {
  banner: string
  product: string
  startTlsOffered: boolean
  allowPlaintextAuth: boolean
  maxLineBytes: number
  maxBadCommands: number
}

/** Why mailmux ends a connection on its own account. */
export type Goodbye = 'login-timeout' | 'line-too-long' | 'too-many-bad-commands' | 'shutting-down' | 'internal'

/** The conversation with one client before it is logged in. */
export type ClientDialogue = {
  greet(): void
  /** Answers everything that can be answered without a back end; resolves with a login to try, or when the client has taken its leave. */
  awaitLogin(): Promise<LoginAttempt | 'logout'>
  /** Tells the client that it is in; from here on the back end speaks. */
  accept(acceptance: Acceptance): void
  /** Tells the client that it is not; it may try again. */
  refuse(refusal: Refusal): void
  goodbye(why: Goodbye): void
}

export type Protocol = {
  name: ProtocolName
  /** as in a banner's `%p` */
  bannerName: string
  openDialogue(client: Wire, facts: DialogueFacts): ClientDialogue
  /** Reads the greeting, starts TLS if asked, logs in. @throws MuxError where the back end is not one to log in at */
  replayLogin(backend: Wire, login: BackendLogin): Promise<LoginAnswer>
  /** What to say on a session that is relaying and quiet, so that its client knows that the end is meant; empty where the protocol has no such word. */
  unaskedGoodbye: string
}
