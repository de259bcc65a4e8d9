/**
 * What every mail protocol gives the session, and what it is given: lines to read and write, nothing that is a socket or a timer.
 * A new protocol is a folder with the same files, and an entry in `registry.ts` and in `protocols.ts`.
 */
import type { MechanismName, ProtocolName } from '../config/settings.ts'
import type { ErrorCode } from '../errors.ts'
import type { Octets } from '../octets.ts'
import type { Secret } from '../secret.ts'
import type { SessionWatch } from './watch.ts'

/**
 * A line of at most so many bytes. With `token`, a line that begins so may be longer: bearer tokens and their like ride on
 * command lines, and nothing else is given that much room.
 */
export type LineLimit = number | { bytes: number; token: { start: RegExp; bytes: number } }

/** One side of the conversation. Reads end with a MuxError when the side is gone or its time is up. What is read is octets. */
export type Wire = {
  readLine(limit: LineLimit): Promise<Octets>
  readBytes(count: number): Promise<Octets>
  write(text: string): void
  /** Hands the connection to TLS. Stops reading at once, in the same turn: bytes that came in clear and were not asked for end the connection. */
  startTls(): Promise<void>
  /** true once everything on this side is encrypted */
  readonly secure: boolean
}

export type ClientWire = Wire & {
  /** the user that the client's certificate speaks for, where it has shown one that is trusted */
  readonly certifiedUser: Octets | undefined
}

/** What proves who the user is. Names and secrets are octets as they came. */
export type Credentials =
  /** `authcid` is whose password it is; it differs from the user only where one acts for another (RFC 4616 authzid) */
  { kind: 'password'; authcid: Octets; password: Secret<Octets> } | RelayedCredentials | { kind: 'certificate' }

/** A mechanism that is carried line for line, so that what it proves stays between the client and the back end. */
export type RelayedCredentials = {
  kind: 'relayed'
  mechanism: MechanismName
  /** the client's first message, saying that it is `user`; undefined where its name cannot be changed without breaking the proof */
  firstMessage: (user: Octets) => Secret<Octets> | undefined
  /** Passes a challenge on (base64, without the plus). @returns the client's line: base64, or `*` where it gives up */
  converse: (challenge: string) => Promise<string>
}

/** What the client asked to be logged in as. */
export type LoginAttempt = {
  /** the name that decides the route: the authzid where one was given */
  user: Octets
  mechanism: MechanismName | 'USER'
  credentials: Credentials
  /** what the client said of itself and of proxies before us (IMAP ID), by lower-case key */
  id: ReadonlyMap<string, string>
  /** how many more proxies may carry this session, as the proxy before us has put it */
  ttl: number | undefined
  /**
   * Commands that the client has sent before its login and that were answered with success, as lines without their end: the back end
   * must get them too. The dialogue bounds their number.
   */
  preamble: readonly string[]
}

/** The identity of the client, for back ends that accept it. */
export type ClientIdentity = {
  sessionId: string
  client: { address: string; port: number }
  local: { address: string; port: number }
  serverName: string | undefined
  tls: boolean
  /** how many more proxies may carry this session (RFC-less, as Dovecot's `x-proxy-ttl`) */
  ttl: number
  id: ReadonlyMap<string, string>
}

/** The same for the back end: `user` is the mailbox, under the name it has there. */
export type BackendLogin = {
  user: Octets
  credentials: Exclude<Credentials, { kind: 'certificate' }>
  startTls: boolean
  /** commands to send before the login, see `LoginAttempt`; each must succeed */
  preamble: readonly string[]
  /** a PROXY header went ahead, which a back end that expects none takes for commands */
  proxyHeader: boolean
  /** how many more proxies may carry this session */
  ttl: number
  /** undefined where the back end is not to be told */
  identity: ClientIdentity | undefined
  /** called once, before the back end is told anything of the client or the user: what goes wrong from then on may be about them */
  aboutToTell: () => void
}

/** What a client is told whose login is not accepted, in terms that every protocol has an answer for. */
export type Refusal =
  | {
      reason:
        | 'authentication-failed'
        | 'authorization-failed'
        | 'disabled'
        | 'unavailable'
        | 'misconfigured'
        | 'privacy-required'
        | 'cancelled'
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
  /** follows the session from now on */
  watch: SessionWatch
}

/** A login that was not accepted: what the client is told, and why. What is not in `refusal` never reaches a mail client. */
export type Refused = {
  accepted: false
  refusal: Refusal
  /** for the log */
  detail: string
  code?: ErrorCode
  /** how long the decision took without waits; absent where its time tells nothing of the user */
  tookMs?: number
  /** the client gets the refusal no sooner than after this */
  waitMs?: number
  /** the client may not try again on this connection */
  last?: boolean
}

export type LoginAnswer = ({ accepted: true } & Acceptance) | Refused

/** What a dialogue must know of its listener and of mailmux. */
export type DialogueFacts = {
  banner: string
  product: string
  startTlsOffered: boolean
  allowPlaintextAuth: boolean
  /** what may be offered here: the operator's choice, as far as the back ends can take it */
  mechanisms: readonly MechanismName[]
  /** what is announced before login beside what mailmux does itself: common to all back ends, or the operator's own list */
  announced: readonly string[]
  maxLineBytes: number
  maxBadCommands: number
  /** refusals of credentials, the last of which ends the connection */
  maxWrongPasswords: number
}

/** Why mailmux ends a connection on its own account. */
export type Goodbye =
  | 'login-timeout'
  | 'too-many-connections'
  | 'line-too-long'
  | 'too-many-bad-commands'
  | 'refused'
  | 'shutting-down'
  | 'idle'
  /** the login has waited for a paused back end as long as it may */
  | 'paused'
  /** the user is on hold, and the login has waited as long as it may */
  | 'on-hold'
  /** the route of the user names another back end now */
  | 'moved'
  /** the back end is being taken out of service */
  | 'drained'
  /** a share of the sessions is ended, so that their clients spread over the instances anew */
  | 'rebalanced'
  /** an operator has ended the session */
  | 'kicked'
  /** the account is disabled now */
  | 'disabled'
  | 'internal'

/** Of a session that relays. `shutdown` is the word of the log and the metrics for `shutting-down`. */
export type UnaskedGoodbye = Record<
  'shutdown' | 'idle' | 'moved' | 'drained' | 'rebalanced' | 'kicked' | 'disabled',
  string
>

/** The conversation with one client before it is logged in. */
export type ClientDialogue = {
  greet(): void
  /** Answers everything that can be answered without a back end; resolves with a login to try, or when the client has taken its leave. */
  awaitLogin(): Promise<LoginAttempt | 'logout'>
  /** Sends a line to the client while a back end is tried again, if the protocol has such a line. */
  stillTrying(): void
  /** Tells the client that it is in; from here on the back end speaks. */
  accept(acceptance: Acceptance): void
  /** Tells the client that it is not; it may try again. @throws MuxError `client-too-many-wrong-passwords` at the last refusal */
  refuse(refusal: Refusal): void
  goodbye(why: Goodbye): void
}

export type Protocol = {
  name: ProtocolName
  openDialogue(client: ClientWire, facts: DialogueFacts): ClientDialogue
  /** Reads the greeting, starts TLS if asked, logs in. @throws MuxError where the back end is not one to log in at */
  replayLogin(backend: Wire, login: BackendLogin): Promise<LoginAnswer>
  /** Asks a back end what it can do before login, and takes its leave. @throws MuxError as replayLogin */
  askCapabilities(backend: Wire, startTls: boolean): Promise<readonly string[]>
  /** How one takes one's leave of a back end after a login, as a whole line. */
  leave: string
  /** @returns the mechanisms among the words that `askCapabilities` gave */
  mechanismsIn(words: readonly string[]): MechanismName[]
  /** @returns those of the words that may be announced before login: the ones that say something about a session */
  announceable(words: readonly string[]): string[]
  /** What a client reads that is one too many, as a whole line. */
  turnedAway: string
  /** The last line to a session that relays and ends at a safe point; empty where the protocol has no such line. */
  unaskedGoodbye: UnaskedGoodbye
}
