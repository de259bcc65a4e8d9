/** A connection whose TLS is not opened here: the server name in its first message names the back end, which gets every byte. */
import type { Socket } from 'node:net'
import type { Backend } from '../backend/backends.ts'
import { dial, type Origin } from '../backend/dialer.ts'
import { connectTimeoutMs, type Attempt } from '../backend/endpoint/cursor.ts'
import type { LiveBackends } from '../backend/live-backends.ts'
import type { ProtocolName } from '../config/settings.ts'
import { asMuxError, MuxError } from '../errors.ts'
import type { ClientConnection } from '../client/connection.ts'
import { acquireSlot, checkState } from '../login/acquire-slot.ts'
import type { LoginEvents, Phase } from '../login/login.ts'
import { NO_GOODBYE } from '../protocol/unasked-goodbye.ts'
import { PROTOCOL_NAMES, specOf } from '../protocol/registry.ts'
import { findServerName } from '../tls/server-name.ts'
import type { ListenerContext, World } from '../world.ts'
import type { Joined, Services } from './services.ts'
import type { Session } from './session.ts'

/** Of all protocols the shortest. */
const LONGEST_HOLD_MS = Math.min(...PROTOCOL_NAMES.map((name) => specOf(name).longestHoldMs))

/** What the choice of a back end needs of a session. */
type PassThroughSession = {
  phase: Phase
  readonly connection: Pick<ClientConnection, 'peekServerName'>
  readonly context: Pick<ListenerContext, 'passthrough'>
  readonly world: Pick<World, 'backends'>
}

/**
 * @returns undefined if no rule passes the connection through
 * @throws MuxError `client-tls-failed` if the first message is no ClientHello; `client-no-such-name` if the back end of the rule has been
 * removed
 */
export async function findPassThrough(session: PassThroughSession): Promise<Backend | undefined> {
  session.phase = 'client-hello'
  const name = findServerName(session.context.passthrough, await session.connection.peekServerName())
  if (name === undefined) return undefined
  const backend = session.world.backends.get(name)
  // A listener that needs a restart keeps its rules, and a reload may have removed a back end of theirs. TLS that is meant for that
  // back end is not opened here instead.
  if (!backend) throw new MuxError('client-no-such-name', `the routing file has no back end ${name} any more`)
  return backend
}

/** Connects to the back end. @throws MuxError `backend-*`: mailmux can send the client no text inside TLS that it does not terminate */
export async function joinUnopened(session: Session, backend: Backend, services: Services): Promise<Joined> {
  const record = session.startLogin()
  record.backend = backend.settings.name
  const { connection, listener, world } = session
  checkState(backend.settings, services.logins.states)
  const nowMs = performance.now()
  const { backendTimeoutMs } = world.settings.limits
  // The client gets no message inside its TLS: the wait is as short as in the protocols that have no such message.
  const deadlines = { untilMs: nowMs + backendTimeoutMs, holdUntilMs: nowMs + LONGEST_HOLD_MS }
  const slot = await acquireSlot(session, record, backend.settings, 1, deadlines, services.logins.admissions)
  const untilMs = deadlines.untilMs + slot.heldMs
  session.phase = 'connecting'
  const origin = {
    source: connection.client,
    destination: connection.local,
    authority: connection.serverName,
    alpn: undefined,
    ssl: undefined,
    uniqueId: undefined,
  }
  const dialling: PassThroughDial = { protocol: listener.protocol, origin, untilMs, client: connection }
  const socket = await dialAny(backend, dialling, services.logins)
  slot.becomeSession() // as far as can be seen: the login itself is inside the TLS
  return { socket, unread: undefined, goodbye: NO_GOODBYE, watch: undefined }
}

type PassThroughDial = {
  protocol: ProtocolName
  origin: Origin
  /** on the clock of `performance.now()` */
  untilMs: number
  /** a client that has left must not hold a descriptor and a slot until a back end times out */
  client: { onLeaving(gone: () => void): () => void }
}

/**
 * Dials each address once: a client that waits for a TLS handshake can get no message meanwhile. Exported for its test.
 * @throws MuxError `backend-*`, `local-shortage`; `client-closed` if the client has left meanwhile
 */
export async function dialAny(
  backend: Backend,
  { protocol, origin, untilMs, client }: PassThroughDial,
  { backends, events }: { backends: Pick<LiveBackends, 'of'>; events: LoginEvents },
): Promise<Socket> {
  const live = backends.of(backend.settings)
  const cursor = await live.enter(protocol, origin.source.address, untilMs - performance.now())
  let failure = new MuxError('backend-down', `back end ${live.name} has no address to try`)
  try {
    for (let attempt = cursor.next(); attempt && !attempt.again; attempt = cursor.next()) {
      try {
        const socket = await dialInTime(backend, attempt, origin, untilMs - performance.now(), client)
        live.succeeded(attempt.endpoint, CONNECTED)
        return socket
      } catch (thrown) {
        failure = asMuxError(thrown)
        if (failure.side === 'client') break
        events.emit({ type: 'dial-failed', error: failure })
        if (failure.side === 'backend')
          live.failed(attempt.endpoint, { by: 'login', code: failure.code, client: undefined }, failure.message)
      }
    }
    throw failure
  } finally {
    cursor.leave()
  }
}

async function dialInTime(
  backend: Backend,
  attempt: Attempt,
  origin: Origin,
  leftMs: number,
  client: PassThroughDial['client'],
): Promise<Socket> {
  const withinMs = connectTimeoutMs(attempt, leftMs)
  const { socket, connected } = dial(backend, attempt.endpoint.address, origin)
  const late = new MuxError('backend-timeout', `no connection within ${Math.round(withinMs)} ms`)
  const left = new MuxError('client-closed', 'the client left while its back end was dialled')
  const timer = setTimeout(() => socket.destroy(late), withinMs)
  const forget = client.onLeaving(() => socket.destroy(left))
  try {
    await connected
    return socket
  } finally {
    clearTimeout(timer)
    forget()
  }
}

/** All that is seen of a back end whose TLS is not opened here. */
const CONNECTED = { by: 'login', proof: 'connection' } as const
