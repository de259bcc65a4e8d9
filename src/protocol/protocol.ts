/**
 * The interface of a mail protocol to the session. A protocol reads and writes lines by the functions that it is given; it has no socket and no timer.
 * A further protocol is a folder with the same files, and an entry in `registry.ts` and in `protocols.ts`.
 */
import type { MechanismName, ProtocolName } from '../config/settings.ts'
import type { ErrorCode } from '../errors.ts'
import type { Octets } from '../octets.ts'
import type { Secret } from '../secret.ts'
import type { SessionView, Show } from './shown.ts'
import type { SessionWatch } from './watch.ts'

/**
 * The largest length of a line in bytes. With `token`, a line with this begin may be longer: some commands contain a bearer
 * token, and no other line needs that length.
 */
export type LineLimit = number | { bytes: number; token: { start: RegExp; bytes: number } }

/** One side of the conversation. A read throws a MuxError when the side has closed or its time has expired. Lines are octets. */
export type Wire = {
  /** @param show how a trace shows the line; a line without it is hidden */
  readLine(limit: LineLimit, show?: Show): Promise<Octets>
  /** A trace hides them. */
  readBytes(count: number): Promise<Octets>
  /** @param show how a trace shows the text; a text without it is hidden */
  write(text: string, show?: Show): void
  /** Starts TLS on the connection. Stops reading at once, in the same turn: unread bytes from before TLS end the connection. */
  startTls(): Promise<void>
  /** true once everything on this side is encrypted */
  readonly secure: boolean
}

export type ClientWire = Wire & {
  /** the user of the client's certificate, if it has sent a trusted one */
  readonly certifiedUser: Octets | undefined
}

/** The proof of the user. Names and secrets are octets as received. */
export type Credentials =
  /** `authcid`: the owner of the password; another than the user only if the client sent an authzid (RFC 4616) */
  { kind: 'password'; authcid: Octets; password: Secret<Octets> } | RelayedCredentials | { kind: 'certificate' }

/** A mechanism that is relayed line by line: mailmux does not see the proof. */
export type RelayedCredentials = {
  kind: 'relayed'
  mechanism: MechanismName
  /** the client's first message with the name `user`; undefined if another name would break the proof */
  firstMessage: (user: Octets) => Secret<Octets> | undefined
  /** Passes a challenge on (base64, without the plus). @returns the client's line: base64, or `*` if it cancels */
  converse: (challenge: string) => Promise<string>
}

/** One login that the client has requested. */
export type LoginAttempt = {
  /** the name that decides the route: the authzid where one was given */
  user: Octets
  mechanism: MechanismName | 'USER'
  credentials: Credentials
  /** the fields of the client's IMAP ID, about itself and about proxies in front of mailmux, by lower-case key */
  id: ReadonlyMap<string, string>
  /** how many more proxies the session may pass, by the proxy in front of mailmux */
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
  /** how many more proxies the session may pass (in no RFC; Dovecot's `x-proxy-ttl`) */
  ttl: number
  id: ReadonlyMap<string, string>
}

/** The login at the back end: `user` is the name of the mailbox there. */
export type BackendLogin = {
  user: Octets
  credentials: Exclude<Credentials, { kind: 'certificate' }>
  startTls: boolean
  /** commands to send before the login, see `LoginAttempt`; each must succeed */
  preamble: readonly string[]
  /** a PROXY header was sent first; a back end that expects none reads it as commands */
  proxyHeader: boolean
  /** how many more proxies the session may pass */
  ttl: number
  /** undefined if the back end must not get it */
  identity: ClientIdentity | undefined
  /** called once, before the back end gets any fact about the client or the user: later failures may concern that client or user alone */
  aboutToTell: () => void
}

/** The refusal of a login as the client gets it, in terms that every protocol has an answer for. */
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
        /** of the user, the domain or the mailbox */
        | 'too-many-sessions'
        | 'too-many-logins'
    }
  /** the back end's own code and text, where the code is meant for users: LIMIT, EXPIRED, IN-USE ... */
  | { reason: 'passed-on'; code: string; text: string }

export type Acceptance = {
  /** lines for the client before the answer, such as an ALERT */
  untagged: readonly string[]
  /** the capabilities after the login, if the back end sent them in its answer or before it */
  capability: { words: string; where: 'answer' | 'beside' } | undefined
  /** another response code of the answer, with its arguments */
  code: string | undefined
  text: string
  /** follows the session from now on */
  watch: SessionWatch
}

/** A login that was not accepted. Only `refusal` reaches the client; the other fields are for the log and the delay. */
export type Refused = {
  accepted: false
  refusal: Refusal
  /** for the log */
  detail: string
  code?: ErrorCode
  /** how long the decision took without waits; absent if its time does not depend on the user */
  tookMs?: number
  /** the least time until the client gets the refusal */
  waitMs?: number
  /** the client may not try again on this connection */
  last?: boolean
}

export type LoginAnswer = ({ accepted: true } & Acceptance) | Refused

/** The facts of the listener and of mailmux that a dialogue needs. */
export type DialogueFacts = {
  banner: string
  product: string
  startTlsOffered: boolean
  allowPlaintextAuth: boolean
  /** the mechanisms of the offer: the operator's choice, of those that the back ends accept */
  mechanisms: readonly MechanismName[]
  /** the capabilities before login beside those of mailmux itself: those common to all back ends, or the operator's list */
  announced: readonly string[]
  maxLineBytes: number
  maxBadCommands: number
  /** refused credentials on one connection; the last one ends it */
  maxWrongPasswords: number
}

/** Why mailmux itself ends a connection. */
export type Goodbye =
  | 'login-timeout'
  | 'too-many-connections'
  /** the address of the client may not connect here */
  | 'not-allowed'
  /** the client has too many connections, or opens them too fast */
  | 'over-limit'
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

export type TurnedAwayGoodbye = Extract<Goodbye, 'too-many-connections' | 'not-allowed' | 'over-limit'>

/** Of a session that relays. `shutdown` is the word of the log and the metrics for `shutting-down`. */
export type UnaskedGoodbye = Record<
  'shutdown' | 'idle' | 'moved' | 'drained' | 'rebalanced' | 'kicked' | 'disabled',
  string
>

/** The dialogue with one client before the login. */
export type ClientDialogue = {
  greet(): void
  /** Answers everything that can be answered without a back end; resolves with a login to try, or with `logout`. */
  awaitLogin(): Promise<LoginAttempt | 'logout'>
  /** Sends a line to the client while a back end is tried again, if the protocol has such a line. */
  stillTrying(): void
  /** Sends the acceptance to the client; from here on its bytes come from the back end. */
  accept(acceptance: Acceptance): void
  /** Sends the refusal to the client, which may try again. @throws MuxError `client-too-many-wrong-passwords` at the last refusal */
  refuse(refusal: Refusal): void
  goodbye(why: Goodbye): void
}

export type Protocol = {
  name: ProtocolName
  openDialogue(client: ClientWire, facts: DialogueFacts): ClientDialogue
  /** Reads the greeting, starts TLS if asked, logs in. @throws MuxError if no login is possible at this back end */
  replayLogin(backend: Wire, login: BackendLogin): Promise<LoginAnswer>
  /** Asks a back end for its capabilities before login, and logs out. @throws MuxError as replayLogin */
  askCapabilities(backend: Wire, startTls: boolean): Promise<readonly string[]>
  /** The line that logs out at a back end after a login. */
  leave: string
  /** Reads along with a session after login, for a trace. */
  openView(): SessionView
  /** @returns the mechanisms among the words that `askCapabilities` gave */
  mechanismsIn(words: readonly string[]): MechanismName[]
  /** @returns those of the words that may be announced before login: the ones about the session after it */
  announceable(words: readonly string[]): string[]
  /** The line in place of the greeting for a client that is not served. */
  turnedAway(why: TurnedAwayGoodbye): string
  /** The last line to a session that relays and ends at a safe point; empty where the protocol has no such line. */
  unaskedGoodbye: UnaskedGoodbye
}
