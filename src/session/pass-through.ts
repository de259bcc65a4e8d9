/** A connection whose TLS is not opened here: the server name in its first message names the back end, which sees every byte. */
import type { Socket } from 'node:net'
import type { Backend } from '../backend/backends.ts'
import { dial, type Origin } from '../backend/dialer.ts'
import { connectTimeoutMs, type Attempt } from '../backend/endpoint/cursor.ts'
import type { ProtocolName } from '../config/settings.ts'
import { asMuxError, MuxError } from '../errors.ts'
import { protocols } from '../protocol/protocols.ts'
import { findServerName } from '../tls/server-name.ts'
import type { ListenerContext, World } from '../world.ts'
import type { ClientConnection } from '../client/connection.ts'
import type { Joined, Services } from './serve.ts'
import { acquireSlot } from '../login/acquire-slot.ts'

/** mailmux cannot speak inside TLS that it has not opened. */
const NO_WORDS = { shutdown: '', idle: '' }

/**
 * @returns undefined where no rule wants the connection carried unopened
 * @throws MuxError `client-tls-failed` where the first message is no ClientHello; `client-no-such-name` where the back end of the rule
 * has been removed
 */
export async function findPassThrough(
  conn: Pick<ClientConnection, 'phase' | 'peekServerName'>,
  { passthrough }: Pick<ListenerContext, 'passthrough'>,
  { backends }: Pick<World, 'backends'>,
): Promise<Backend | undefined> {
  conn.phase = 'client-hello'
  const name = findServerName(passthrough, await conn.peekServerName())
  if (name === undefined) return undefined
  const backend = backends.get(name)
  // A listener that needs a restart keeps its rules, and a reload may have removed a back end of theirs. TLS that is meant for that
  // back end is not opened here instead.
  if (!backend) throw new MuxError('client-no-such-name', `the routing file has no back end ${name} any more`)
  return backend
}

/** Reaches the back end that the connection is for. @throws MuxError `backend-*`: there is nothing that could be said to the client in its own language */
export async function joinUnopened(
  conn: ClientConnection,
  backend: Backend,
  world: World,
  services: Services,
): Promise<Joined> {
  const protocol = protocols[conn.listener.protocol]
  conn.backend = backend.settings.name
  const { backendTimeoutMs } = world.settings.limits
  const deadline = performance.now() + backendTimeoutMs
  const slot = await acquireSlot(conn, backend.settings, 1, deadline, services.admissions)
  conn.phase = 'connecting'
  const origin = {
    source: conn.client,
    destination: conn.local,
    authority: conn.serverName,
    alpn: undefined,
    ssl: undefined,
    uniqueId: undefined,
  }
  const left = new AbortController()
  const forget = conn.onLeaving(() =>
    left.abort(new MuxError('client-closed', 'the client left while its back end was dialled')),
  )
  const dialling = { protocol: protocol.name, origin, untilMs: deadline, left: left.signal }
  const socket = await dialAny(backend, dialling, services).finally(forget)
  slot.becomeSession() // as far as can be seen: the login itself is inside the TLS
  return { socket, unread: undefined, goodbye: NO_WORDS, watch: undefined }
}

type Dialling = {
  protocol: ProtocolName
  origin: Origin
  /** on the clock of `performance.now()` */
  untilMs: number
  /** ends it, with its reason as the error: a client that has gone must not hold a descriptor and a place until a back end times out */
  left: AbortSignal
}

/**
 * Dials each address once: a client that waits for a TLS handshake cannot be told that it goes on. Exported for its test.
 * @throws MuxError `backend-*`, `local-shortage`, or the reason of `left`
 */
export async function dialAny(
  backend: Backend,
  { protocol, origin, untilMs, left }: Dialling,
  { backends, noteShortage }: Pick<Services, 'backends' | 'noteShortage'>,
): Promise<Socket> {
  const live = backends.of(backend.settings)
  const way = await live.enter(protocol, origin.source.address, untilMs - performance.now())
  let failure = new MuxError('backend-down', `back end ${live.name} has no address to try`)
  try {
    for (let step = way.next(); step && !step.again; step = way.next()) {
      try {
        const socket = await dialInTime(backend, step, { origin, leftMs: untilMs - performance.now(), left })
        live.succeeded(step.endpoint, CONNECTED)
        return socket
      } catch (thrown) {
        left.throwIfAborted()
        failure = asMuxError(thrown)
        if (failure.code === 'local-shortage') noteShortage('backend', failure.message)
        if (failure.side === 'backend')
          live.failed(step.endpoint, { by: 'login', code: failure.code, client: undefined }, failure.message)
      }
    }
    throw failure
  } finally {
    way.leave()
  }
}

async function dialInTime(
  backend: Backend,
  step: Attempt,
  { origin, leftMs, left }: { origin: Origin; leftMs: number; left: AbortSignal },
): Promise<Socket> {
  const withinMs = connectTimeoutMs(step, leftMs)
  const giveUp = new AbortController()
  const late = new MuxError('backend-timeout', `no connection within ${Math.round(withinMs)} ms`)
  const timer = setTimeout(() => giveUp.abort(late), withinMs)
  try {
    return await dial(backend, step.endpoint.address, origin, AbortSignal.any([giveUp.signal, left]))
  } finally {
    clearTimeout(timer)
  }
}

/** All that is seen of a back end whose TLS is not opened here. */
const CONNECTED = { by: 'login', proof: 'connection' } as const
