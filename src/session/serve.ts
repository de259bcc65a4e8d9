/** The life of one connection, in the order in which it happens. Bytes are parsed elsewhere. */
import { MuxError, type ErrorCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Acceptance, LoginAttempt, Refusal } from '../protocol/protocol.ts'
import { protocols } from '../protocol/protocols.ts'
import type { RelayEnding, Relays } from '../relay/relay.ts'
import { PRODUCT, type World } from '../world.ts'
import { BackendConnection } from './backend-connection.ts'
import type { ClientConnection } from './connection.ts'
import { routeLogin } from './route-login.ts'

/** What all sessions share and no session owns. */
export type Services = { relays: Relays; metrics: Metrics; log: Log }

export type Ending = {
  cause: RelayEnding['cause'] | 'logout' | ErrorCode
  bytesFromClient: number
  bytesFromBackend: number
}

const NOTHING_RELAYED = { bytesFromClient: 0, bytesFromBackend: 0 }

/** @throws MuxError for every ending that is not a normal one; the caller answers it and closes the connection */
export async function serve(conn: ClientConnection, world: World, services: Services): Promise<Ending> {
  const { limits } = world.settings
  const protocol = protocols[conn.listener.protocol]

  const expire = (): void =>
    conn.fail(new MuxError('client-login-timeout', `no login within ${limits.loginTimeoutMs} ms`))
  let deadline = setTimeout(expire, limits.loginTimeoutMs)
  try {
    if (conn.listener.tls === 'implicit') {
      conn.phase = 'tls'
      await conn.startTls()
    }

    conn.dialogue = protocol.openDialogue(conn, {
      banner: world.banners.get(conn.listener.name)?.(new Date()) ?? '',
      product: PRODUCT,
      startTlsOffered: conn.listener.tls === 'starttls',
      allowPlaintextAuth: conn.listener.allowPlaintextAuth,
      maxLineBytes: limits.maxLineBytes,
      maxBadCommands: limits.maxBadCommands,
    })
    conn.dialogue.greet()

    for (;;) {
      conn.phase = 'login'
      const login = await conn.dialogue.awaitLogin()
      if (login === 'logout') return { cause: 'logout', ...NOTHING_RELAYED }
      clearTimeout(deadline)

      const outcome = await tryLogin(conn, login, world, services)
      if (outcome.accepted) {
        conn.phase = 'relaying'
        conn.dialogue.accept(outcome.acceptance)
        return await relay(conn, outcome.backend, world, services)
      }
      // A refused password leaves the client connected, and the next login is routed anew: it may be another user's.
      conn.dialogue.refuse(outcome.refusal)
      deadline = setTimeout(expire, limits.loginTimeoutMs)
    }
  } finally {
    clearTimeout(deadline)
  }
}

type Outcome =
  { accepted: true; acceptance: Acceptance; backend: BackendConnection } | { accepted: false; refusal: Refusal }

/** One login, from its route to the back end's answer. Failures of any side but the client's become a refusal. */
async function tryLogin(
  conn: ClientConnection,
  login: LoginAttempt,
  world: World,
  services: Services,
): Promise<Outcome> {
  const { metrics, log } = services
  const protocol = protocols[conn.listener.protocol]
  const started = performance.now()
  const giveUp = new AbortController()
  const timer = setTimeout(
    () => giveUp.abort(new MuxError('backend-timeout', `no answer from the back end while ${conn.phase}`)),
    world.settings.limits.backendTimeoutMs,
  )
  let backend: BackendConnection | undefined
  let reached = false
  const refuse = (refusal: Refusal, fields: object): Outcome => {
    const known = {
      session: conn.id,
      client: conn.address,
      listener: conn.listener.name,
      user: conn.user,
      backend: conn.backend,
      phase: conn.phase,
    }
    log.info({ ...known, reason: refusal.reason, ...fields }, 'login refused')
    metrics.loginEnded(protocol.name, login.mechanism, outcomeOf(refusal))
    backend?.close()
    return { accepted: false, refusal }
  }
  try {
    conn.phase = 'routing'
    const routed = await routeLogin(conn, login, world, metrics)
    if ('refusal' in routed) return refuse(routed.refusal, { detail: routed.detail })

    conn.phase = 'connecting'
    backend = await BackendConnection.open(routed.backend, protocol.name, giveUp.signal)

    conn.phase = 'replaying-login'
    const answer = await protocol.replayLogin(backend, routed.login)
    reached = true
    if (!answer.accepted) return refuse(answer.refusal, { detail: answer.detail })
    metrics.loginEnded(protocol.name, login.mechanism, 'accepted')
    return { accepted: true, acceptance: answer, backend }
  } catch (error) {
    if (!(error instanceof MuxError) || error.side === 'client') {
      backend?.close()
      throw error
    }
    return refuse(
      { reason: error.retryable ? 'unavailable' : 'misconfigured' },
      { code: error.code, side: error.side, detail: error.message },
    )
  } finally {
    clearTimeout(timer)
    if (conn.backend !== undefined && conn.phase !== 'routing') {
      metrics.backendIsUp(conn.backend, reached)
      metrics.loginTook(protocol.name, conn.backend, performance.now() - started)
    }
  }
}

function outcomeOf({ reason }: Refusal): 'refused' | 'unavailable' | 'misconfigured' | 'disabled' {
  return reason === 'unavailable' || reason === 'misconfigured' || reason === 'disabled' ? reason : 'refused'
}

/** Joins both sides; what either has sent beyond the login goes first. */
async function relay(
  conn: ClientConnection,
  backend: BackendConnection,
  world: World,
  { relays, metrics }: Services,
): Promise<Ending> {
  const protocol = protocols[conn.listener.protocol]
  const name = conn.backend ?? ''
  const started = performance.now()
  const { socket, unread } = backend.detach()
  metrics.sessionStarted(protocol.name, name)
  try {
    return await relays.run(conn.socket, socket, {
      idleMs: world.settings.limits.idleMs[protocol.name],
      goodbye: protocol.unaskedGoodbye,
      unreadFromClient: conn.detach(),
      unreadFromBackend: unread,
      account: metrics.relayAccount(protocol.name, name),
    })
  } finally {
    metrics.sessionEnded(protocol.name, name, performance.now() - started)
  }
}
