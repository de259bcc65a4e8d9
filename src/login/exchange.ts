/** One attempt of a login: a connection to one address of the back end, the login on it, and the time limits of both. */
import type { Slot } from '../backend/admission/slot.ts'
import type { Backend } from '../backend/backends.ts'
import type { Origin } from '../backend/dialer.ts'
import { connectTimeoutMs, type Attempt } from '../backend/endpoint/cursor.ts'
import { MuxError } from '../errors.ts'
import type { BackendLogin, ClientIdentity, LoginAnswer } from '../protocol/protocol.ts'
import { protocols } from '../protocol/protocols.ts'
import { specOf } from '../protocol/registry.ts'
import { resumeSlot } from './acquire-slot.ts'
import { stop, type Timer } from './clock.ts'
import type { ConversationObserver } from './conversation.ts'
import type { BackendRoute, BackendWire, Login } from './login.ts'
import { withProxyHint } from './proxy-hint.ts'
import { hideSecrets, withoutSecrets } from './repeated-secret.ts'

/** With less time left an attempt could only end by its own timeout. */
export const MIN_ATTEMPT_MS = 100

export class Exchange implements ConversationObserver {
  /** the back end has been told, or is just being told, whose login it is */
  told = false
  readonly connection: BackendWire
  readonly #login: Login
  readonly #backend: Backend
  readonly #slot: Slot
  readonly #startedMs: number
  readonly #readyMs: number
  /** the deadline; it moves on by the time that the client takes to answer */
  #untilMs: number
  #challengedMs = 0
  #timer: Timer | undefined
  #readyTimer: Timer | undefined

  /** @param untilMs when the attempt has to be over, on the login's clock */
  constructor(
    login: Login,
    { backend }: BackendRoute,
    attempt: Attempt,
    identity: ClientIdentity,
    slot: Slot,
    untilMs: number,
  ) {
    const { clock, dial } = login.services
    login.session.phase = 'connecting'
    // Before the timers, which need it: it may throw.
    const connection = dial(backend, attempt.endpoint.address, originOf(identity, login))
    this.connection = login.session.trace?.backendWire(connection) ?? connection
    this.#login = login
    this.#backend = backend
    this.#slot = slot
    this.#startedMs = clock.nowMs()
    this.#untilMs = untilMs
    const leftMs = untilMs - this.#startedMs
    this.#readyMs = connectTimeoutMs(attempt, leftMs)
    this.#timer = clock.after(leftMs, this.#onLate)
    this.#readyTimer = attempt.othersLeft ? clock.after(this.#readyMs, this.#onNotReady) : undefined
  }

  /**
   * @returns the back end's answer; after a refusal the connection is closed
   * @throws MuxError what went wrong. The connection is closed.
   */
  async run(facts: BackendRoute['login'], identity: ClientIdentity): Promise<LoginAnswer> {
    const { session, conversation } = this.#login
    const { forwardIdentity, proxyProtocol } = this.#backend.settings
    const told: BackendLogin = {
      user: facts.user,
      credentials: facts.credentials,
      startTls: facts.startTls,
      preamble: facts.preamble,
      proxyHeader: facts.proxyHeader,
      ttl: identity.ttl,
      identity: forwardIdentity ? identity : undefined,
      aboutToTell: () => {
        this.told = true
      },
    }
    if (conversation) conversation.observer = this
    session.trace?.hide(told)
    try {
      await this.connection.open()
      session.phase = 'replaying-login'
      const answer = await protocols[session.listener.protocol].replayLogin(this.connection, told)
      if (answer.accepted) return answer
      this.connection.close()
      return { ...answer, detail: hideSecrets(answer.detail, told) }
    } catch (error) {
      this.connection.close()
      throw withProxyHint(withoutSecrets(error, told), proxyProtocol, this.connection)
    } finally {
      stop(this.#timer)
      stop(this.#readyTimer)
    }
  }

  /** How long the attempt took until now, without the client's time. */
  get tookMs(): number {
    return this.#login.services.clock.nowMs() - this.#startedMs - this.#login.clientMs
  }

  // While the client answers, the slot is paused, and the deadline is extended by that time.

  challenged(): void {
    const { clock, pace } = this.#login.services
    this.#challengedMs = clock.nowMs()
    if (this.#login.clientMs === 0) pace.observeChallenge(this.#challengedMs - this.#startedMs)
    stop(this.#timer)
    this.#slot.pause()
  }

  async answered(): Promise<void> {
    const { clock } = this.#login.services
    this.#untilMs += clock.nowMs() - this.#challengedMs
    await resumeSlot(this.#login.session, this.#slot, this.#untilMs - MIN_ATTEMPT_MS)
    this.#timer = clock.after(this.#untilMs - clock.nowMs(), this.#onLate)
  }

  readonly #onLate = (): void =>
    this.connection.fail(
      new MuxError('backend-timeout', `no answer from the back end while ${this.#login.session.phase}`),
    )

  /** Until the login is sent. A wait after that may be a slow refusal of the password, which has its own timing. */
  readonly #onNotReady = (): void => {
    if (this.told) return
    this.connection.fail(
      new MuxError('backend-timeout', `not ready for a login within ${Math.round(this.#readyMs)} ms`),
    )
  }
}

/** The client's identity as a PROXY header has it. */
function originOf({ client, local, serverName, tls }: ClientIdentity, { session }: Login): Origin {
  const { tlsVersion } = session.connection
  return {
    source: client,
    destination: local,
    authority: serverName,
    alpn: tls ? specOf(session.listener.protocol).alpn : undefined,
    ssl: tls
      ? { clientTls: true, verified: false, ...(tlsVersion !== undefined && { version: tlsVersion }) }
      : undefined,
    uniqueId: undefined,
  }
}
