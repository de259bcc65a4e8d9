/** One login: its record, what it needs of its session, its events and its result. It has no socket. */
import type { Socket } from 'node:net'
import type { Address } from '../backend/endpoint/addresses.ts'
import type { Admissions } from '../backend/admission/admission.ts'
import type { Slot } from '../backend/admission/slot.ts'
import type { Backend } from '../backend/backends.ts'
import type { Origin } from '../backend/dialer.ts'
import type { LiveBackends } from '../backend/live-backends.ts'
import type { BackendStates } from '../backend/states.ts'
import type { ListenerSettings } from '../config/settings.ts'
import type { MuxError } from '../errors.ts'
import type { ListenerLimits } from '../limits/listener-limits.ts'
import type { Limits } from '../limits/limits.ts'
import type { Lease, LimitName } from '../limits/rejection.ts'
import type { LookupSource } from '../metrics/metrics.ts'
import type { Text } from '../octets.ts'
import { specOf } from '../protocol/registry.ts'
import type { Acceptance, BackendLogin, LoginAnswer, LoginAttempt, Refused, Wire } from '../protocol/protocol.ts'
import type { LoginFacts } from '../directory/directory.ts'
import type { RouteSource } from '../routing/router.ts'
import type { World } from '../world.ts'
import type { LoginClock } from './clock.ts'
import type { HeldBack } from './held-back.ts'
import type { HeldUsers } from './held-users.ts'
import { Conversation } from './conversation.ts'
import type { RefusalPace } from './refusal-pace.ts'

/** The phases of a session. The same words are in the log and in the list of sessions. */
export type Phase =
  | 'proxy-header'
  | 'client-hello'
  | 'tls'
  | 'login'
  | 'routing'
  | 'waiting'
  | 'connecting'
  | 'replaying-login'
  | 'relaying'

type ClientAddress = { readonly address: string; readonly port: number }

/** What a login needs of the client's connection. */
export type LoginClient = {
  /** the client's end, and the end that it connected to: the PROXY header's where there is one */
  readonly client: ClientAddress
  readonly local: ClientAddress
  readonly hasProxyHeader: boolean
  /** the name that the client asked for in TLS */
  readonly serverName: string | undefined
  readonly secure: boolean
  readonly tlsVersion: string | undefined
  readonly cipher: string | undefined
  /** no answer can reach the client any more */
  readonly isGone: boolean
  describeTls(): LoginFacts['tls']
  /** Calls `gone` when the client has left. @returns takes that back */
  onLeaving(gone: () => void): () => void
  /** Makes the wait for the client end with `error`. */
  fail(error: MuxError): void
}

/** What a trace needs of a login. */
export type LoginTrace = {
  /** @returns the same wire, which is read along */
  backendWire(wire: BackendWire): BackendWire
  /** What a back end repeats of this login is hidden. */
  hide(login: Pick<BackendLogin, 'user' | 'credentials'>): void
  note(text: string): void
}

/** What a login needs of its session. A login test has no more than this. */
export type LoginSession = {
  readonly id: string
  readonly listener: ListenerSettings
  /** undefined where the listener has no limits on its clients */
  readonly limits: ListenerLimits | undefined
  readonly connection: LoginClient
  phase: Phase
  /** reads along while a trace is in force */
  readonly trace?: LoginTrace | undefined
  /** Tells a waiting client that its login goes on, where the protocol has a word for it. */
  stillTrying(): void
  /**
   * Calls `listener` with the reason when the session is ordered to end, and at once if it has been.
   * @returns takes that back
   */
  onEnding(listener: (error: MuxError) => void): () => void
  /** Gives back what the connection holds of limits, ahead of its end. */
  releaseLease(): void
}

/** What stays known of the last login of a session for as long as the session lasts. It holds no credential. */
export class LoginRecord {
  /** which login of its connection, from 1 */
  readonly number: number
  /** the normalised name, once the login is routed */
  user: Text | undefined = undefined
  /** the master user who logs in for that user, where the name has one (`alice*admin`) */
  master: Text | undefined = undefined
  /** the network of the client has logged the user in before: the login goes ahead of others that wait */
  isKnown = false
  /** the back end that the login was routed to */
  backend: string | undefined = undefined
  /** the slot at that back end; the end of the session gives it back */
  slot: Slot | undefined = undefined
  /** what the session holds of limits; the end of the session gives it back */
  lease: Lease | undefined = undefined

  constructor(number: number) {
    this.number = number
  }
}

/** A back end, and what it is told of the login. */
export type BackendRoute = {
  backend: Backend
  login: Omit<BackendLogin, 'identity' | 'ttl' | 'aboutToTell'>
  /** `placed`: of a new user, whose route is to be committed once the back end has accepted the login */
  source: RouteSource
}

/** A connection to a back end that the caller opens, and ends by `detach` or `close`. */
export type BackendWire = Wire & {
  /** the TCP connection stands */
  readonly connected: boolean
  /** lines that the back end has sent, its greeting included */
  readonly heard: number
  /** @throws MuxError as `dial`; `backend-tls-failed`, `backend-certificate` with implicit TLS; the error of `fail` */
  open(): Promise<void>
  /** Makes the wait under way, or the next one, end with `error`. */
  fail(error: MuxError): void
  detach(): Detached
  close(): void
}

/** @param origin the client, for a back end that expects a PROXY header */
export type Dial = (backend: Backend, address: Address, origin: Origin) => BackendWire

/** What logins share. */
export type LoginServices = {
  readonly backends: Pick<LiveBackends, 'of'>
  readonly admissions: Pick<Admissions, 'enter' | 'wait' | 'isOpen'>
  readonly states: Pick<BackendStates, 'of'>
  readonly heldUsers: Pick<HeldUsers, 'wait'>
  readonly pace: RefusalPace
  readonly heldBack: HeldBack
  /** undefined where no login is limited */
  readonly limits?: Pick<Limits, 'admitLogin' | 'admitSession' | 'loginRefused'> | undefined
  readonly clock: LoginClock
  readonly dial: Dial
  readonly events: LoginEvents
}

export type LoginEvents = {
  emit(event: LoginEvent): void
  /** whether a subscriber uses the events for debugging */
  readonly wantsDetails: boolean
}

/** `tookMs` are durations of the monotonic clock. */
export type LoginEvent =
  | { type: 'route-looked-up'; login: Login; source: LookupSource; tookMs: number }
  /** for debugging */
  | { type: 'route-decided'; login: Login; route: BackendRoute | Refused }
  /** for debugging */
  | { type: 'backend-answered'; login: Login; attempt: number; address: Address; answer: LoginAnswer; tookMs: number }
  | { type: 'attempt-failed'; login: Login; attempt: number; error: MuxError }
  /** a limit has rejected or delayed a login */
  | { type: 'limit-hit'; limit: LimitName }
  /** a connection that is passed through did not reach one of the back end's addresses */
  | { type: 'dial-failed'; error: MuxError }
  | { type: 'logged-in'; login: Login; address: Address; route: BackendRoute; tookMs: number }
  | { type: 'login-refused'; login: Login; refused: Refused; tookMs: number }

/** A back end's socket, and what it has sent that mailmux has not read. */
export type Detached = { socket: Socket; unread: Buffer | undefined }

export type Accepted = { accepted: true; acceptance: Acceptance; backend: BackendWire; address: Address }

/** One login under way. Dropped when it has its result. */
export class Login {
  readonly session: LoginSession
  readonly record: LoginRecord
  readonly world: World
  readonly services: LoginServices
  /** what the client sent */
  readonly attempt: LoginAttempt
  /** the client's part of a relayed mechanism; undefined for other mechanisms */
  readonly conversation: Conversation | undefined
  readonly startedMs: number

  constructor(
    session: LoginSession,
    record: LoginRecord,
    attempt: LoginAttempt,
    world: World,
    services: LoginServices,
  ) {
    const { credentials } = attempt
    this.session = session
    this.record = record
    this.world = world
    this.services = services
    this.startedMs = services.clock.nowMs()
    this.conversation =
      credentials.kind === 'relayed' ? new Conversation(credentials, session.connection, services.clock) : undefined
    this.attempt = this.conversation ? { ...attempt, credentials: this.conversation.credentials } : attempt
  }

  /** How long the login has waited for its client until now. */
  get clientMs(): number {
    return this.conversation?.clientMs ?? 0
  }

  /** A login whose back end is paused waits no longer than this, on the login's clock. */
  get holdUntilMs(): number {
    return this.startedMs + specOf(this.session.listener.protocol).longestHoldMs
  }

  get ageMs(): number {
    return this.services.clock.nowMs() - this.startedMs
  }
}
