/** All connections of this process: runs each one's life, answers the errors that end it, closes both sides, and writes its line. */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { asMuxError, MuxError } from '../errors.ts'
import type { Goodbye } from '../protocol/protocol.ts'
import type { ListenerContext, World } from '../world.ts'
import { ClientConnection } from '../client/connection.ts'
import { logPhases, peerFields } from './login-lines.ts'
import { serve, type Ending, type Services } from './serve.ts'
import { createTurnAway } from './turn-away.ts'
import { reportSessions, type SessionFilter, type SessionReport } from './session-report.ts'

export type Sessions = {
  /** Takes over a socket that the listener of this name has accepted. */
  accept: (socket: Socket, listener: string) => void
  /** What is going on, the oldest first; read from what there is anyway, so that it costs nothing until it is asked. */
  list: (filter: SessionFilter) => { sessions: SessionReport[]; total: number }
  /** how many there are, before login and after */
  count: () => number
  /** Says goodbye wherever nothing is under way, waits for the rest, and ends after `graceMs` what is left. */
  drain(graceMs: number): Promise<void>
}

/** @param world gives the configuration in force, asked once for each connection */
export function createSessions(world: () => World, services: Services): Sessions {
  const { relays, metrics, log, maxConnections } = services
  const turnAway = createTurnAway(services)
  const running = new Set<ClientConnection>()
  // Unique across instances and restarts, and short enough to be read out over the telephone.
  const prefix = randomBytes(4).toString('hex')
  let counter = 0
  let onEmpty: (() => void) | undefined

  async function run(conn: ClientConnection, context: ListenerContext, born: World): Promise<void> {
    let ending: Ending
    let detail: string | undefined
    try {
      ending = await serve(conn, context, born, services)
    } catch (thrown) {
      const error = asMuxError(thrown)
      const goodbye = goodbyeFor(error)
      if (goodbye) conn.dialogue?.goodbye(goodbye)
      ending = { cause: error.code, bytesFromClient: 0, bytesFromBackend: 0 }
      detail = error.message
      if (error.code === 'internal') log.error({ session: conn.id, err: error.cause ?? error }, 'defect')
    }
    // Until its socket is closed the connection is listed, and a shutdown waits for it.
    conn.close(() => {
      running.delete(conn)
      if (running.size === 0) onEmpty?.()
    })
    // A load balancer's probes are neither logged nor counted, or they would be most of both.
    if (!conn.isHealthCheck) note(conn, ending, detail)
  }

  /** The line of a connection's life, which is written once and says all. */
  function note(conn: ClientConnection, ending: Ending, detail: string | undefined): void {
    const { bornMs, user, backend, tlsVersion: tls, phase } = conn
    if (detail !== undefined && ending.cause !== 'client-closed') metrics.connectionRejected(ending.cause)
    const fields = {
      ...peerFields(conn),
      user,
      backend,
      tls,
      phase,
      ...ending,
      detail,
      ms: Math.round(performance.now() - bornMs),
    }
    log.info(fields, 'session ended')
  }

  return {
    accept(socket, listener) {
      const id = `${prefix}-${(counter++).toString(36)}`
      const born = world() // and kept for life, whatever is reloaded meanwhile
      const context = born.listeners.get(listener)
      socket.on('error', ignore) // for life: between two owners of the socket an error would otherwise end the process
      // A client that has gone again already has no address, and nothing to be told.
      if (!context || socket.remoteAddress === undefined) return void socket.destroy()
      const max = maxConnections()
      if (running.size >= max) {
        turnAway(socket, context.settings, max)
        return
      }
      const conn = new ClientConnection(id, socket, context, metrics.handshakeEnded)
      if (log.isLevelEnabled?.('debug')) logPhases(log, conn)
      running.add(conn)
      void run(conn, context, born)
    },
    list: (filter) => reportSessions(running, filter, performance.now()),
    count: () => running.size,
    async drain(graceMs) {
      if (running.size === 0) return
      const empty = new Promise<void>((resolve) => (onEmpty = resolve))
      // A login that is under way gets its answer first: its next read is the one that fails.
      for (const conn of running)
        if (conn.phase !== 'relaying') conn.fail(new MuxError('shutting-down', 'shutting down'))
      relays.drain()
      const grace = setTimeout(() => {
        relays.endAll()
        for (const conn of running) if (conn.phase !== 'relaying') conn.socket.destroy()
      }, graceMs)
      await empty
      clearTimeout(grace)
    },
  }
}

const ignore = (): void => undefined

/** What the client is told when its connection ends on an error, where it can still be told. */
function goodbyeFor({ code }: MuxError): Goodbye | undefined {
  switch (code) {
    case 'client-login-timeout':
      return 'login-timeout'
    case 'client-line-too-long':
    case 'client-literal-too-large':
      return 'line-too-long'
    case 'client-too-many-bad-commands':
      return 'too-many-bad-commands'
    case 'client-refused':
    case 'client-too-many-wrong-passwords':
      return 'refused'
    case 'shutting-down':
      return 'shutting-down'
    case 'internal':
      return 'internal'
    default: // the client has gone, or what it did leaves nothing to be said in clear
      return undefined
  }
}
