/** One session: a client's connection from its acceptance to its end, its report, and the ways to end it. */
import type { ClientConnection } from '../client/connection.ts'
import type { ListenerSettings, ProtocolName } from '../config/settings.ts'
import { MuxError, type ErrorCode } from '../errors.ts'
import type { ListenerLimits } from '../limits/listener-limits.ts'
import type { Lease } from '../limits/rejection.ts'
import { LoginRecord, type LoginSession, type Phase } from '../login/login.ts'
import type { ClientDialogue } from '../protocol/protocol.ts'
import type { LeaveCause, RelayHandle } from '../relay/relays.ts'
import type { SessionTrace } from '../trace/session-trace.ts'
import type { ListenerContext, World } from '../world.ts'

/** A field that does not apply, or has no value yet, is absent. Holds no secret. */
export type SessionReport = {
  id: string
  client: string
  listener: string
  protocol: ProtocolName
  phase: Phase
  user?: string
  backend?: string
  /** the version towards the client */
  tls?: string
  ageSeconds: number
  /** how long neither side has sent anything, while the session relays */
  idleSeconds?: number
}

/** Why an operator or mailmux ends sessions. Each reason has a goodbye. */
export type EndReason = Exclude<LeaveCause, 'idle'>

/** Before login. */
const END_ERRORS = {
  shutdown: { code: 'shutting-down', text: 'shutting down' },
  moved: { code: 'moved', text: 'the route of the user has changed' },
  drained: { code: 'drained', text: 'the back end is being drained' },
  rebalanced: { code: 'rebalanced', text: 'a share of the sessions is ended, to spread them over the instances' },
  kicked: { code: 'kicked', text: 'an operator has ended the session' },
  disabled: { code: 'disabled', text: 'the account is disabled' },
} as const satisfies Record<EndReason, { code: ErrorCode; text: string }>

function errorFor(why: EndReason): MuxError {
  const { code, text } = END_ERRORS[why]
  return new MuxError(code, text)
}

/** The phases in which a login is under way: the client waits, and is not read. */
const LOGIN_PHASES: ReadonlySet<Phase> = new Set<Phase>(['routing', 'waiting', 'connecting', 'replaying-login'])

const UNCONNECTED_PHASES: ReadonlySet<Phase> = new Set<Phase>(['proxy-header', 'client-hello', 'tls', 'login'])

/** The part of the session events that a session emits itself. */
type PhaseEvents = {
  readonly wantsDetails: boolean
  emit(event: PhaseEntered): void
}

/** For debugging. `isFirst`: of this session */
export type PhaseEntered = { type: 'phase-entered'; session: Session; isFirst: boolean }

export class Session implements LoginSession {
  readonly id: string
  readonly connection: ClientConnection
  /** the configuration at the time of acceptance, kept for the session's life */
  readonly world: World
  readonly context: ListenerContext
  /** undefined before the greeting and once the client is logged in */
  dialogue: ClientDialogue | undefined = undefined
  /** the last login; a session that is passed through has one too, of an unknown user */
  login: LoginRecord | undefined = undefined
  relay: RelayHandle | undefined = undefined
  /** what the connection holds of limits */
  lease: Lease | undefined = undefined
  /** a limit has rejected it before its greeting: it is reported as that, and not as a session */
  isTurnedAway = false
  /** given while a trace is in force */
  trace: SessionTrace | undefined = undefined
  readonly #events: PhaseEvents
  readonly #bornMs = performance.now()
  #phase: Phase = 'login'
  #reported: Phase | undefined = undefined
  #logins = 0
  #end: { why: EndReason; withinMs: number | undefined } | undefined = undefined
  #cutError: MuxError | undefined = undefined
  #onEnding: ((error: MuxError) => void) | undefined = undefined

  constructor(id: string, connection: ClientConnection, context: ListenerContext, world: World, events: PhaseEvents) {
    this.id = id
    this.connection = connection
    this.context = context
    this.world = world
    this.#events = events
  }

  get listener(): ListenerSettings {
    return this.context.settings
  }

  get limits(): ListenerLimits | undefined {
    return this.context.limits
  }

  get ageMs(): number {
    return performance.now() - this.#bornMs
  }

  /** A session before login rests as long as its client has sent no login. */
  get isResting(): boolean {
    return this.relay?.isResting() ?? this.#phase === 'login'
  }

  /** It has no connection to a back end, and none is being opened: before a login, and while a login waits without a slot. */
  get isUnconnected(): boolean {
    const holds = this.login?.slot?.holds ?? 'nothing'
    return UNCONNECTED_PHASES.has(this.#phase) || (this.#phase === 'waiting' && holds === 'nothing')
  }

  get phase(): Phase {
    return this.#phase
  }

  set phase(phase: Phase) {
    this.#phase = phase
    // A load balancer's probe is not reported, and is told from a client only by its PROXY header.
    if (phase === this.#reported || phase === 'proxy-header' || this.connection.isHealthCheck) return
    const isFirst = this.#reported === undefined
    this.#reported = phase
    if (this.#events.wantsDetails) this.#events.emit({ type: 'phase-entered', session: this, isFirst })
  }

  stillTrying(): void {
    this.dialogue?.stillTrying()
  }

  /** Counts one more login and keeps its record. */
  startLogin(): LoginRecord {
    this.login = new LoginRecord(++this.#logins)
    return this.login
  }

  /** From now on the session relays. */
  startRelay(handle: RelayHandle): void {
    this.relay = handle
    if (this.#end) handle.endWhenSafe(this.#end.why, this.#end.withinMs)
  }

  /**
   * Ends the session with the goodbye for `why`: before login at its next read, so that a login under way gets its answer; a login
   * that waits at once, as its answer is far away; while it relays once no command is in progress. May be called more than once.
   * @param withinMs a relay that has not come to a safe point by then is cut; undefined: never. 0 also cuts a login under way
   */
  end(why: EndReason, withinMs?: number): void {
    this.#end = { why, withinMs }
    if (this.relay) return this.relay.endWhenSafe(why, withinMs)
    const error = errorFor(why)
    if (withinMs === 0 && LOGIN_PHASES.has(this.#phase)) {
      this.#cutError ??= error
      this.connection.destroy()
    } else {
      this.connection.fail(error)
      this.#onEnding?.(error)
    }
  }

  /** There is one listener at most: a login waits in one place. */
  onEnding(listener: (error: MuxError) => void): () => void {
    this.#onEnding = listener
    if (this.#end) listener(errorFor(this.#end.why))
    return () => (this.#onEnding = undefined)
  }

  releaseLease(): void {
    this.lease?.release()
    this.lease = undefined
  }

  /** Why a login under way was cut. The login itself only gets the error of a closed connection. */
  get cutError(): MuxError | undefined {
    return this.#cutError
  }

  /** Ends the session now, whatever is in progress, without a goodbye. */
  cut(): void {
    if (this.relay) this.relay.end('shutdown-deadline')
    else this.connection.destroy()
  }

  /** Releases everything. @param onClosed called once, when the socket is closed */
  close(onClosed: () => void): void {
    this.login?.slot?.release()
    this.login?.lease?.release()
    this.releaseLease()
    this.connection.close(onClosed)
  }

  report(): SessionReport {
    const { id, connection, listener, phase, login, relay } = this
    const { user, backend } = login ?? NO_LOGIN
    const { tlsVersion: tls } = connection
    return {
      id,
      client: connection.client.address,
      listener: listener.name,
      protocol: listener.protocol,
      phase,
      ...(user !== undefined && { user }),
      ...(backend !== undefined && { backend }),
      ...(tls !== undefined && { tls }),
      ageSeconds: Math.round(this.ageMs) / 1000,
      ...(relay && { idleSeconds: Math.round(relay.silentMs / 1000) }),
    }
  }
}

const NO_LOGIN = { user: undefined, backend: undefined }
