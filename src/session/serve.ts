/** The life of one connection, in the order in which it happens. Bytes are parsed elsewhere. */
import type { Socket } from 'node:net'
import type { Backends } from '../backend/backends.ts'
import type { LiveBackends } from '../backend/live-backends.ts'
import type { Admissions } from '../backend/admission/admission.ts'
import type { ListenerSettings } from '../config/settings.ts'
import { MuxError, type ErrorCode, type NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Protocol } from '../protocol/protocol.ts'
import { protocols } from '../protocol/protocols.ts'
import type { SessionWatch } from '../protocol/watch.ts'
import type { RelayEnding, Relays } from '../relay/relays.ts'
import { PRODUCT, type ListenerContext, type World } from '../world.ts'
import type { ClientConnection } from '../client/connection.ts'
import type { Offer } from './offer.ts'
import { findPassThrough, joinUnopened } from './pass-through.ts'
import type { RefusalPace } from '../login/refusal-pace.ts'
import { tryLogin } from './try-login.ts'

/** What all sessions share and no session owns. */
export type Services = {
  relays: Relays
  metrics: Metrics
  log: Log
  pace: RefusalPace
  backends: LiveBackends
  admissions: Admissions
  noteShortage: NoteShortage
  /** connections at a time, before login and after; may change at any time */
  maxConnections: () => number
  /** what a listener offers now, which follows what the back ends say */
  offer: (listener: ListenerSettings, backends: Backends) => Offer
}

export type Ending = {
  cause: RelayEnding['cause'] | 'logout' | ErrorCode
  bytesFromClient: number
  bytesFromBackend: number
}

const NOTHING_RELAYED = { bytesFromClient: 0, bytesFromBackend: 0 }

/** The back end of a session that is about to begin. */
export type Joined = {
  socket: Socket
  /** what it has sent that nobody has read; goes first */
  unread: Buffer | undefined
  goodbye: Protocol['unaskedGoodbye']
  /** undefined where mailmux does not see the protocol */
  watch: SessionWatch | undefined
}

/** @throws MuxError for every ending that is not a normal one; the caller answers it and closes the connection */
export async function serve(
  conn: ClientConnection,
  context: ListenerContext,
  world: World,
  services: Services,
): Promise<Ending> {
  const next = await reachBackend(conn, context, world, services)
  // What a login needs has ended with that function: a session may last for days, and there are many of them.
  return 'cause' in next ? next : relay(conn, next, world, services)
}

/** @returns the back end that has let the client in, or an ending before there was one */
async function reachBackend(
  conn: ClientConnection,
  context: ListenerContext,
  world: World,
  services: Services,
): Promise<Joined | Ending> {
  const { limits } = world.settings
  const { listener } = conn
  const protocol = protocols[listener.protocol]

  const expire = (): void =>
    conn.fail(new MuxError('client-login-timeout', `no login within ${limits.loginTimeoutMs} ms`))
  let deadline = setTimeout(expire, limits.loginTimeoutMs)
  try {
    if (listener.proxyProtocol === 'required') {
      conn.phase = 'proxy-header'
      await conn.learnOrigin()
    }
    if (!conn.isHealthCheck) services.metrics.connectionAccepted(listener.protocol, listener.name)
    if (listener.passthrough.length > 0) {
      const backend = await findPassThrough(conn, context, world)
      clearTimeout(deadline)
      if (backend) {
        countAsClient(conn, services) // a login would be inside the TLS
        return await joinUnopened(conn, backend, world, services)
      }
      if (listener.tls === 'passthrough') throw new MuxError('client-no-such-name', 'no rule for this server name')
      deadline = setTimeout(expire, limits.loginTimeoutMs)
    }
    if (listener.tls === 'implicit') {
      conn.phase = 'tls'
      await conn.startImplicitTls()
    }

    conn.phase = 'login'
    conn.dialogue = protocol.openDialogue(conn, {
      banner: context.banner(new Date()),
      product: PRODUCT,
      startTlsOffered: listener.tls === 'starttls',
      allowPlaintextAuth: listener.allowPlaintextAuth,
      ...services.offer(listener, world.backends),
      maxLineBytes: limits.maxLineBytes,
      maxBadCommands: limits.maxBadCommands,
      maxWrongPasswords: limits.maxWrongPasswords,
    })
    conn.dialogue.greet()

    for (;;) {
      conn.phase = 'login'
      const login = await conn.dialogue.awaitLogin()
      if (login === 'logout') return { cause: 'logout', ...NOTHING_RELAYED }
      clearTimeout(deadline)
      countAsClient(conn, services)

      const outcome = await tryLogin(conn, login, world, services)
      if (outcome.accepted) {
        conn.dialogue.accept(outcome.acceptance)
        conn.dialogue = undefined
        const { watch } = outcome.acceptance
        return { ...outcome.backend.detach(), goodbye: protocol.unaskedGoodbye, watch }
      }
      // A refused password leaves the client connected, and the next login is routed anew: it may be another user's.
      conn.dialogue.refuse(outcome.refusal)
      if (outcome.last)
        throw new MuxError('client-refused', 'the directory has refused the login, and wants it to be the last')
      deadline = setTimeout(expire, limits.loginTimeoutMs)
    }
  } finally {
    clearTimeout(deadline)
  }
}

/** PROXY LOCAL is a load balancer's probe only as long as it tries no login: from then on it is counted, listed and logged. */
function countAsClient(conn: ClientConnection, { metrics }: Services): void {
  if (!conn.isHealthCheck) return
  conn.isHealthCheck = false
  metrics.connectionAccepted(conn.listener.protocol, conn.listener.name)
}

/** Joins both sides; what either has sent that nobody has read goes first. */
async function relay(
  conn: ClientConnection,
  { socket, unread, goodbye, watch }: Joined,
  world: World,
  { relays, metrics }: Services,
): Promise<Ending> {
  conn.phase = 'relaying'
  const { name: protocol } = protocols[conn.listener.protocol]
  const name = conn.backend ?? ''
  const started = performance.now()
  metrics.sessionStarted(protocol, name)
  try {
    const handle = relays.run(conn.socket, socket, {
      idleMs: world.settings.limits.idleMs[protocol],
      goodbye,
      watch,
      unreadFromClient: conn.detach(),
      unreadFromBackend: unread,
      account: metrics.relayAccount(protocol, name),
    })
    return await handle.ended
  } finally {
    metrics.sessionEnded(protocol, name, performance.now() - started)
  }
}
