/**
 * A login on request, by somebody who asks whether it works: the way of every other login from its route to the back end's answer,
 * and not a byte further. It stands for a client that has come this far, so that no socket, TLS or mail protocol of its own is needed
 * and the true reason of a refusal can be told, which no mail client ever hears.
 */
import { randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { asMuxError } from '../errors.ts'
import { familyOf } from '../net/address.ts'
import type { LoginAttempt } from '../protocol/protocol.ts'
import { encodeUtf8 } from '../octets.ts'
import { Secret } from '../secret.ts'
import { findServerName } from '../tls/server-name.ts'
import type { World } from '../world.ts'
import { ClientConnection, type Phase } from '../client/connection.ts'
import { imagine, type Question } from '../inspect/question.ts'
import type { Services } from './serve.ts'
import { tryLogin, type Outcome } from './try-login.ts'

/** What does not apply is absent. */
export type Trial = {
  accepted: boolean
  /** of the lines in the log that are about it */
  session: string
  /** how far it came */
  phase: Phase
  backend?: string
  /** where it was accepted, and the TLS of that leg */
  ip?: string
  port?: number
  tls?: string
  /** as in the line "login refused" */
  reason?: string
  code?: string
  detail?: string
  ms: number
}

/** @returns `wrong` where nobody logs in that way, in words */
export async function tryOut(
  question: Question,
  password: Secret,
  world: World,
  services: Services,
): Promise<Trial | { wrong: string }> {
  const imagined = imagine(question, world.settings.listeners)
  if ('wrong' in imagined) return imagined
  const { listener, serverName, address = '127.0.0.1' } = imagined
  const context = world.listeners.get(listener.name)
  if (!context || listener.tls === 'passthrough' || findServerName(context.passthrough, serverName) !== undefined)
    return { wrong: 'TLS is passed through there: the login is between the client and the back end' }

  const conn = new ClientConnection(`try-${randomBytes(4).toString('hex')}`, new Socket(), context, () => undefined)
  conn.client = { address: familyOf(address) === 6 ? '::1' : '127.0.0.1', port: 0 }
  conn.local = { address, port: listener.listen[0]?.port ?? 0 }
  conn.serverName = serverName
  conn.secure = listener.tls !== 'none'
  const started = performance.now()
  const result = await tryLogin(conn, toAttempt(question.user, password), world, services)
    .then(describe)
    .catch(describeError)
    .finally(() => conn.close())
  const ms = Math.round(performance.now() - started)
  const { id: session, phase, user, backend } = conn
  services.log.info({ session, listener: listener.name, user, backend, ms, accepted: result.accepted }, 'login tried')
  return { ...result, session, phase, ...(backend !== undefined && { backend }), ms }
}

/** Octets, as they would come over the wire. */
function toAttempt(name: string, secret: Secret): LoginAttempt {
  const user = encodeUtf8(name)
  const password = new Secret(encodeUtf8(secret.reveal()))
  const credentials = { kind: 'password', authcid: user, password } as const
  return { user, mechanism: 'PLAIN', credentials, id: new Map(), ttl: undefined, preamble: [] }
}

type Result = Omit<Trial, 'session' | 'phase' | 'backend' | 'ms'>

function describe(outcome: Outcome): Result {
  if (!outcome.accepted) {
    const { refusal, code, detail } = outcome
    return { accepted: false, reason: refusal.reason, ...(code !== undefined && { code }), detail }
  }
  const { socket } = outcome.backend.detach()
  const { remoteAddress: ip, remotePort: port } = socket
  const tls = socket instanceof TLSSocket ? socket.getProtocol() : null
  socket.on('error', () => undefined) // nobody needs it any more
  socket.destroy()
  return { accepted: true, ...(ip !== undefined && { ip }), ...(port !== undefined && { port }), ...(tls && { tls }) }
}

function describeError(thrown: unknown): Result {
  const { code, message } = asMuxError(thrown)
  return { accepted: false, code, detail: message }
}
