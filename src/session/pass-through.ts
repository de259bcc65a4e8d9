/** A connection whose TLS is not opened here: the server name in its first message names the back end, which sees every byte. */
import type { Socket } from 'node:net'
import type { Backend } from '../backend/backends.ts'
import { dial } from '../backend/dialer.ts'
import { asMuxError, MuxError } from '../errors.ts'
import { protocols } from '../protocol/protocols.ts'
import { findServerName } from '../tls/server-name.ts'
import type { Entrance, World } from '../world.ts'
import type { ClientConnection } from './connection.ts'
import { relay, type Ending, type Services } from './serve.ts'

/** mailmux cannot speak inside TLS that it has not opened. */
const NO_WORDS = { shutdown: '', idle: '' }

/**
 * @returns undefined where no rule wants the connection carried unopened
 * @throws MuxError `client-tls-failed` where the first message is no ClientHello
 */
export async function findPassThrough(
  conn: ClientConnection,
  { passthrough }: Entrance,
  world: World,
): Promise<Backend | undefined> {
  conn.phase = 'client-hello'
  const name = findServerName(passthrough, await conn.peekServerName())
  return name === undefined ? undefined : world.backends.get(name)
}

/** Carries the connection. @throws MuxError `backend-*`: there is nothing that could be said to the client in its own language */
export async function passThrough(
  conn: ClientConnection,
  backend: Backend,
  world: World,
  services: Services,
): Promise<Ending> {
  const protocol = protocols[conn.listener.protocol]
  conn.phase = 'connecting'
  conn.backend = backend.settings.name
  const { backendTimeoutMs } = world.settings.limits
  const giveUp = new AbortController()
  const late = new MuxError('backend-timeout', `no connection within ${backendTimeoutMs} ms`)
  const timer = setTimeout(() => giveUp.abort(late), backendTimeoutMs)
  const origin = {
    source: conn.client,
    destination: conn.local,
    authority: conn.serverName,
    alpn: undefined,
    ssl: undefined,
    uniqueId: undefined,
  }
  let socket: Socket
  try {
    socket = await dial(backend, protocol.name, origin, giveUp.signal)
    services.metrics.backendIsUp(conn.backend, true)
  } catch (error) {
    if (asMuxError(error).side === 'backend') services.metrics.backendIsUp(conn.backend, false)
    throw error
  } finally {
    clearTimeout(timer)
  }
  conn.phase = 'relaying'
  return relay(conn, { socket, unread: undefined }, { goodbye: NO_WORDS, guard: undefined }, world, services)
}
