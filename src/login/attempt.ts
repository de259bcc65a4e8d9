/** The attempts of one login at its back end: at which address, how often, and how long. */
import { sleep } from '../clock.ts'
import type { AddressCursor, Attempt } from '../backend/endpoint/cursor.ts'
import type { LiveBackend } from '../backend/live-backend.ts'
import { asMuxError, MuxError, type ErrorCode } from '../errors.ts'
import { networkOf } from '../net/address.ts'
import { judgeLength, MAX_CREDENTIAL_BYTES } from '../protocol/credential-bounds.ts'
import type { ClientIdentity, LoginAnswer, Refused } from '../protocol/protocol.ts'
import type { Slot } from '../backend/admission/slot.ts'
import type { BackendSettings } from '../config/settings.ts'
import { acquireSlot, checkState } from './acquire-slot.ts'
import { Exchange, MIN_ATTEMPT_MS } from './exchange.ts'
import type { Accepted, BackendRoute, Login } from './login.ts'
import { refused } from './refuse.ts'

/** Attempts for one login. A back end that restarts is away for about as long as three of them take; more would only keep the client waiting. */
const MAX_ATTEMPTS = 3
/** Pause before a second attempt at the same address. */
const BETWEEN_ATTEMPTS_MS = 1000
/** Proxies that a session may pass, this one included: a loop ends after as many. */
const MAX_TTL = 6

/**
 * Retries after failures that may pass by themselves, until the client has answered a challenge.
 * @returns the back end's answer
 * @throws MuxError the last failure, or the one of the wait for a slot. No slot is held then.
 */
export async function logInAtBackend(login: Login, route: BackendRoute): Promise<Accepted | Refused> {
  const { session, record, services, world } = login
  const identity = identityOf(login)
  const { backendTimeoutMs } = world.settings.limits
  const { settings } = route.backend
  checkState(settings, services.states)
  // The slot comes first only where the back end is paused: nothing is known of its addresses before it is up again.
  const waitMs = backendTimeoutMs - MIN_ATTEMPT_MS
  const held = services.admissions.isOpen(settings.name) ? undefined : await takeSlot(login, settings, 1, waitMs)
  const untilMs = services.clock.nowMs() + backendTimeoutMs
  const live = services.backends.of(settings)
  let cursor: AddressCursor | undefined
  try {
    const entered = live.enter(session.listener.protocol, record.user ?? '', backendTimeoutMs)
    cursor = entered instanceof Promise ? await entered : entered
    return await runAttempts(login, route, identity, live, cursor, untilMs, held)
  } catch (error) {
    held?.release()
    throw error
  } finally {
    cursor?.leave()
  }
}

function takeSlot(login: Login, settings: BackendSettings, attempt: number, withinMs: number): Slot | Promise<Slot> {
  const { session, record, services, holdUntilMs } = login
  const untilMs = services.clock.nowMs() + withinMs
  return acquireSlot(session, record, settings, attempt, { untilMs, holdUntilMs }, services.admissions)
}

async function runAttempts(
  login: Login,
  route: BackendRoute,
  identity: ClientIdentity,
  live: LiveBackend,
  cursor: AddressCursor,
  firstUntilMs: number,
  held: Slot | undefined,
): Promise<Accepted | Refused> {
  const { session, services } = login
  const { settings } = route.backend
  const { clock, events, states } = services
  let untilMs = firstUntilMs
  let attempt = cursor.next()
  for (let number = 1; attempt; number++) {
    if (number > 1) checkState(settings, states)
    const leftMs = untilMs - MIN_ATTEMPT_MS - clock.nowMs()
    const acquired = (number === 1 ? held : undefined) ?? takeSlot(login, settings, number, leftMs)
    const slot = acquired instanceof Promise ? await acquired : acquired
    if (slot !== held) untilMs += slot.heldMs
    const exchange = new Exchange(login, route, attempt, identity, slot, untilMs)
    const { endpoint } = attempt
    try {
      const answer = await exchange.run(route.login, identity)
      live.succeeded(endpoint, ANSWERED)
      if (events.wantsDetails) reportAnswer(login, number, attempt, exchange, answer)
      if (!answer.accepted) {
        slot.release()
        // Only the attempt that is answered may have asked the client, so that all of the client's time lies in it.
        return { ...answer, tookMs: exchange.tookMs }
      }
      slot.becomeSession()
      return { accepted: true, acceptance: answer, backend: exchange.connection, address: endpoint.address }
    } catch (thrown) {
      slot.release() // other logins may use it while this one pauses
      const error = asMuxError(thrown)
      if (isTooLongForBackend(login, exchange, error)) {
        const detail = `${error.message}, after a token of more than ${MAX_CREDENTIAL_BYTES} octets`
        return { ...refused('authentication-failed', detail), code: error.code }
      }
      noteFailure(login, route, live, attempt, exchange, error)
      const mayRetry = error.retryable && number < MAX_ATTEMPTS && !login.conversation?.hasBegun
      const next: Attempt | undefined = mayRetry && !session.connection.isGone ? cursor.next() : undefined
      const pauseMs = next?.again ? BETWEEN_ATTEMPTS_MS : 0
      if (!next || untilMs - clock.nowMs() <= pauseMs + MIN_ATTEMPT_MS) throw error
      events.emit({ type: 'attempt-failed', login, attempt: number, error })
      if (pauseMs > 0) {
        session.stillTrying()
        await sleep(clock, pauseMs)
      }
      attempt = next
    }
  }
  throw new MuxError('backend-down', `back end ${settings.name} has no address to try`)
}

/** Any answer comes from a back end that works, a refusal too. */
const ANSWERED = { by: 'login', proof: 'login' } as const

/** How servers end a connection when more arrives than their buffers hold: without a line, or with a BYE. */
const HUNG_UP = new Set<ErrorCode>(['backend-closed', 'backend-bye'])

function isTooLongForBackend({ attempt }: Login, { told }: Exchange, { code }: MuxError): boolean {
  return told && HUNG_UP.has(code) && judgeLength(attempt.user, attempt.credentials) === 'long'
}

/** Codes that say nothing of the address: the login's mechanism is missing there, or its slot did not come back after a challenge. */
const NO_FAILURE = new Set<ErrorCode>(['backend-no-mechanism', 'backend-busy', 'backend-down'])

function noteFailure(
  { session, record }: Login,
  { backend }: BackendRoute,
  live: LiveBackend,
  { endpoint }: Attempt,
  { told, connection }: Exchange,
  { side, code, message }: MuxError,
): void {
  if (side !== 'backend' || NO_FAILURE.has(code)) return
  // Once the back end may know the client, the failure may be about that client alone (banned there, a broken mailbox).
  const isKnown = told || (connection.connected && backend.settings.proxyProtocol !== 'none')
  const { address } = session.connection.client
  const client = isKnown ? { client: networkOf(address), user: record.user ?? '' } : undefined
  live.failed(endpoint, { by: 'login', code, client }, message)
}

function reportAnswer(
  login: Login,
  attempt: number,
  { endpoint: { address } }: Attempt,
  exchange: Exchange,
  answer: LoginAnswer,
): void {
  const tookMs = exchange.tookMs + login.clientMs
  login.services.events.emit({ type: 'backend-answered', login, attempt, address, answer, tookMs })
}

/** @throws MuxError `proxy-loop` */
function identityOf({ session, attempt: { id, ttl } }: Login): ClientIdentity {
  const left = Math.min(MAX_TTL, (ttl ?? MAX_TTL + 1) - 1)
  if (left <= 0) throw new MuxError('proxy-loop', 'the session has passed too many proxies: a back end leads back here')
  const { client, local, serverName, secure: tls } = session.connection
  return { sessionId: session.id, client, local, serverName, tls, ttl: left, id }
}
