/** One login, from its route to the back end's answer: tried again where that may help, and refused in good time where it does not. */
import { setTimeout as wait } from 'node:timers/promises'
import { networkOf } from '../net/address.ts'
import type { Address } from '../backend/endpoint/addresses.ts'
import type { Backend } from '../backend/backends.ts'
import type { Slot } from '../backend/admission/slot.ts'
import { connectTimeoutMs, type Attempt } from '../backend/endpoint/cursor.ts'
import { asMuxError, MuxError, type ErrorCode } from '../errors.ts'
import { judgeLength, MAX_CREDENTIAL_BYTES } from '../protocol/credential-bounds.ts'
import type { Acceptance, BackendLogin, ClientIdentity, LoginAttempt, Refusal } from '../protocol/protocol.ts'
import { protocols } from '../protocol/protocols.ts'
import { specOf } from '../protocol/registry.ts'
import type { World } from '../world.ts'
import { BackendConnection, type Progress } from '../backend/backend-connection.ts'
import type { ClientConnection } from '../client/connection.ts'
import { watchConversation, type Conversation } from '../login/conversation.ts'
import { logAccepted, logAnswer, logRefused, logRoute } from './login-lines.ts'
import { refuseAsBackend } from '../login/decoy.ts'
import { withProxyHint } from '../login/proxy-hint.ts'
import type { RefusalPace } from '../login/refusal-pace.ts'
import { hideSecrets, withoutSecrets } from '../login/repeated-secret.ts'
import { refusalOfError, type Verdict } from '../login/refuse.ts'
import { routeLogin } from '../login/route.ts'
import type { Services } from './serve.ts'
import { resumeSlot, acquireSlot } from '../login/acquire-slot.ts'

export type Outcome =
  | { accepted: true; acceptance: Acceptance; backend: BackendConnection }
  /** `last`: the client may not try again on this connection; `detail` and `code` are no words for it */
  | { accepted: false; refusal: Refusal; last: boolean; detail: string; code: string | undefined }

/** More than this many tries is a client that waits for nothing; a restart of a back end takes about as long as these do. */
const MAX_ATTEMPTS = 3
const BETWEEN_ATTEMPTS_MS = 1000
/** With less than this left an attempt could only end in its own timeout. */
const LEAST_FOR_AN_ATTEMPT_MS = 100

/** Proxies that a session may pass, ours included; a loop ends after as many. */
const MAX_TTL = 6

/** @throws MuxError where the client itself is the cause; what goes wrong beyond it becomes a refusal */
export async function tryLogin(
  conn: ClientConnection,
  login: LoginAttempt,
  world: World,
  services: Services,
): Promise<Outcome> {
  const { metrics, log, pace, noteShortage } = services
  const { limits } = world.settings
  const { name: protocol } = protocols[conn.listener.protocol]
  const started = performance.now()
  const conversation = watchConversation(login.credentials, (error) => conn.fail(error))
  let answer: Answer
  try {
    conn.phase = 'routing'
    const watched = { ...login, credentials: conversation.credentials }
    const routed = await routeLogin(conn, watched, world, metrics)
    const refusedInMs = performance.now() - started
    if (log.isLevelEnabled?.('debug')) logRoute(log, conn, routed)
    answer =
      'refusal' in routed
        ? { accepted: false, refusedInMs, ...(await refuseAsBackend(watched, conn.user, routed, world, pace)) }
        : await ask(conn, routed.backend, routed.login, login, conversation, world, services)
    if (answer.accepted && !('refusal' in routed)) {
      if (routed.settle) await settle(conn, answer.backend, routed.settle)
      logAccepted(log, conn, login, { address: answer.address, source: routed.source, startedMs: started })
    }
  } catch (thrown) {
    const error = asMuxError(thrown)
    if (error.side === 'client' || error.code === 'internal') throw error
    if (error.code === 'local-shortage')
      noteShortage(conn.backend === undefined ? 'directory' : 'backend', error.message)
    answer = { accepted: false, refusal: refusalOfError(error), detail: error.message, code: error.code }
  }
  if (conn.backend !== undefined) metrics.loginTook(protocol, conn.backend, performance.now() - started)
  if (answer.accepted) {
    metrics.loginEnded(protocol, login.mechanism, 'accepted')
    return answer
  }

  const { refusal, detail, code, verdict } = answer
  metrics.loginEnded(protocol, login.mechanism, outcomeOf(refusal))
  const { user, backend } = conn
  logRefused(log, conn, login, { refusal, code, detail, startedMs: started })
  if (refusal.reason === 'authentication-failed') {
    if (answer.refusedInMs !== undefined && (backend !== undefined || verdict))
      pace.observe(answer.refusedInMs, conn.client.address)
    if (user !== undefined) world.router.doubt(user)
    const tookMs = performance.now() - started - conversation.clientMs()
    await wait(Math.max(0, pace.dueMs(limits.failureDelayMs, conn.client.address) - tookMs, verdict?.waitMs ?? 0))
  }
  return { accepted: false, refusal, last: verdict?.last ?? false, detail, code }
}

/** Makes the back end that has let a new user in the user's own, before a byte is carried. @throws what `settled` throws; the back end is left then */
async function settle(conn: ClientConnection, backend: BackendConnection, settled: () => Promise<void>): Promise<void> {
  try {
    await settled()
  } catch (error) {
    backend.close()
    conn.slot?.release()
    throw error
  }
}

type Answer =
  | { accepted: true; acceptance: Acceptance; backend: BackendConnection; address: Address }
  /** `refusedInMs`: what the refusal itself took, without the client's own time, a queue and earlier attempts */
  | { accepted: false; refusal: Refusal; detail: string; code?: string; verdict?: Verdict; refusedInMs?: number }

/** Asks the back end, and asks again while the failure is one that passes and the client has not been drawn into it. */
async function ask(
  conn: ClientConnection,
  backend: Backend,
  backendLogin: Omit<BackendLogin, 'identity' | 'ttl' | 'aboutToTell'>,
  login: LoginAttempt,
  conversation: Conversation,
  world: World,
  { backends, admissions, log, pace }: Services,
): Promise<Answer> {
  const identity = identityOf(conn, login)
  const { name, forwardIdentity, proxyProtocol } = backend.settings
  const deadline = performance.now() + world.settings.limits.backendTimeoutMs
  const live = backends.of(backend.settings)
  const protocol = protocols[conn.listener.protocol]
  const way = await live.enter(protocol.name, conn.user ?? '', deadline - performance.now())
  try {
    let step = way.next()
    for (let attempt = 1; step; attempt++) {
      const slot = await acquireSlot(conn, backend.settings, attempt, deadline - LEAST_FOR_AN_ATTEMPT_MS, admissions)
      const { endpoint } = step
      const progress: Progress = { connected: false, heard: 0, told: false }
      const attemptMs = performance.now()
      try {
        const told = {
          ...backendLogin,
          ttl: identity.ttl,
          identity: forwardIdentity ? identity : undefined,
          aboutToTell: () => (progress.told = true),
        }
        const answer = await askOnce(
          conn,
          { backend, step, progress, slot },
          told,
          identity,
          conversation,
          pace,
          deadline - performance.now(),
        )
        live.succeeded(endpoint, ANSWERED)
        if (log.isLevelEnabled?.('debug'))
          logAnswer(log, conn, { address: endpoint.address, attempt, startedMs: attemptMs }, answer)
        if (answer.accepted) {
          slot.becomeSession()
          return answer
        }
        slot.release()
        // The attempt that is answered is the only one that may ask the client, so that all of the client's time lies in it.
        return { ...answer, refusedInMs: performance.now() - attemptMs - conversation.clientMs() }
      } catch (thrown) {
        slot.release() // for others, while this one waits for its next attempt
        const error = asMuxError(thrown)
        const { code, message } = error
        if (progress.told && HUNG_UP.has(code) && judgeLength(login.user, login.credentials) === 'long') {
          const detail = `${message}, after a token of more than ${MAX_CREDENTIAL_BYTES} octets`
          return { accepted: false, refusal: { reason: 'authentication-failed' }, detail, code }
        }
        // Once the back end may know who it is for, the failure may be about that client (banned there, a broken mailbox).
        const isKnown = progress.told || (progress.connected && proxyProtocol !== 'none')
        const client = isKnown ? { client: networkOf(conn.client.address), user: conn.user ?? '' } : undefined
        if (error.side === 'backend' && !NO_FAILURE.has(code))
          live.failed(endpoint, { by: 'login', code, client }, message)
        const mayGoOn = error.retryable && attempt < MAX_ATTEMPTS && !conversation.hasBegun() && !conn.socket.destroyed
        step = mayGoOn ? way.next() : undefined
        const pauseMs = step?.again === true ? BETWEEN_ATTEMPTS_MS : 0
        if (!step || deadline - performance.now() <= pauseMs + LEAST_FOR_AN_ATTEMPT_MS) throw error
        log.warn({ session: conn.id, backend: name, attempt, code, detail: message }, 'back end tried again')
        if (pauseMs > 0) {
          conn.dialogue?.stillTrying()
          await wait(pauseMs)
        }
      }
    }
  } finally {
    way.leave()
  }
  throw new MuxError('backend-down', `back end ${name} has no address to try`)
}

/** How servers end a connection on which more comes than fits into their buffers: without another word, or with a BYE. */
const HUNG_UP = new Set<ErrorCode>(['backend-closed', 'backend-bye'])

/** Codes that say nothing of the address: the login lacks a mechanism there, or did not get its turn back after a challenge. */
const NO_FAILURE = new Set<ErrorCode>(['backend-no-mechanism', 'backend-busy', 'backend-down'])

/** Any answer, a refusal too, is one of a back end that works. */
const ANSWERED = { by: 'login', proof: 'login' } as const

async function askOnce(
  conn: ClientConnection,
  { backend, step, progress, slot }: { backend: Backend; step: Attempt; progress: Progress; slot: Slot },
  login: BackendLogin,
  identity: ClientIdentity,
  conversation: Conversation,
  pace: RefusalPace,
  withinMs: number,
): Promise<Answer> {
  const protocol = protocols[conn.listener.protocol]
  const giveUp = new AbortController()
  const late = (): void =>
    giveUp.abort(new MuxError('backend-timeout', `no answer from the back end while ${conn.phase}`))
  let timer = setTimeout(late, withinMs)
  let untilMs = performance.now() + withinMs
  // The back end's slot and its deadline stand still while the client is asked.
  let askedMs = 0
  const startedMs = performance.now()
  conversation.pauseWith({
    asked() {
      askedMs = performance.now()
      if (conversation.clientMs() === 0) pace.observeChallenge(askedMs - startedMs)
      clearTimeout(timer)
      slot.pause()
    },
    async answered() {
      untilMs += performance.now() - askedMs
      await resumeSlot(conn, slot, untilMs - LEAST_FOR_AN_ATTEMPT_MS)
      timer = setTimeout(late, untilMs - performance.now())
    },
  })
  // Only until it is asked to let the user in: what takes long after that may be the refusal of a password, which has its own pace.
  const reachMs = connectTimeoutMs(step, withinMs)
  const giveWay = (): void => {
    if (progress.told) return
    giveUp.abort(new MuxError('backend-timeout', `not ready for a login within ${Math.round(reachMs)} ms`))
  }
  const sooner = step.othersLeft ? setTimeout(giveWay, reachMs) : undefined
  let connection: BackendConnection | undefined
  try {
    conn.phase = 'connecting'
    const origin = originOf(identity, conn)
    connection = await BackendConnection.open(backend, step.endpoint.address, origin, giveUp.signal, progress)
    conn.phase = 'replaying-login'
    const answer = await protocol.replayLogin(connection, login)
    if (answer.accepted)
      return { accepted: true, acceptance: answer, backend: connection, address: step.endpoint.address }
    connection.close()
    return { ...answer, detail: hideSecrets(answer.detail, login) }
  } catch (error) {
    connection?.close()
    throw withProxyHint(withoutSecrets(error, login), backend.settings.proxyProtocol, progress)
  } finally {
    clearTimeout(timer)
    clearTimeout(sooner)
  }
}

function outcomeOf({ reason }: Refusal): 'refused' | 'unavailable' | 'misconfigured' | 'disabled' {
  return reason === 'unavailable' || reason === 'misconfigured' || reason === 'disabled' ? reason : 'refused'
}

/** @throws MuxError `proxy-loop` */
function identityOf(conn: ClientConnection, { id, ttl }: LoginAttempt): ClientIdentity {
  const left = Math.min(MAX_TTL, (ttl ?? MAX_TTL + 1) - 1)
  if (left <= 0) throw new MuxError('proxy-loop', 'the session has passed too many proxies: a back end leads back here')
  const { id: sessionId, client, local, serverName, secure: tls } = conn
  return { sessionId, client, local, serverName, tls, ttl: left, id }
}

/** The same for a PROXY header. */
function originOf({ client, local, serverName, tls }: ClientIdentity, { tlsVersion, listener }: ClientConnection) {
  return {
    source: client,
    destination: local,
    authority: serverName,
    alpn: tls ? specOf(listener.protocol).alpn : undefined,
    ssl: tls
      ? { clientTls: true, verified: false, ...(tlsVersion !== undefined && { version: tlsVersion }) }
      : undefined,
    uniqueId: undefined,
  }
}
