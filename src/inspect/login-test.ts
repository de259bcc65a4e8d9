/**
 * A login test: an operator asks whether a login works. It takes the steps of every other login, from the route to the back end's answer,
 * with a description of a client in place of a connection. It tells the true reason of a refusal, which no mail client gets.
 */
import { randomBytes } from 'node:crypto'
import { TLSSocket } from 'node:tls'
import type { ListenerSettings } from '../config/settings.ts'
import { asMuxError } from '../errors.ts'
import type { Log } from '../log.ts'
import { Login, LoginRecord, type Accepted, type LoginServices, type LoginSession, type Phase } from '../login/login.ts'
import { familyOf } from '../net/address.ts'
import { encodeUtf8 } from '../octets.ts'
import type { LoginAttempt, Refused } from '../protocol/protocol.ts'
import { Secret } from '../secret.ts'
import { logIn } from '../session/serve.ts'
import { findServerName } from '../tls/server-name.ts'
import type { World } from '../world.ts'
import { imagine, type Question } from './question.ts'

/** What does not apply is absent. */
export type LoginTest = {
  accepted: boolean
  /** of the log lines about the test */
  session: string
  /** how far the login came */
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

/** @returns `wrong`, in words, if no client can log in that way */
export async function testLogin(
  question: Question,
  password: Secret,
  world: World,
  { logins, log }: { logins: LoginServices; log: Log },
): Promise<LoginTest | { wrong: string }> {
  const imagined = imagine(question, world.settings.listeners)
  if ('wrong' in imagined) return imagined
  const { listener, serverName, address = '127.0.0.1' } = imagined
  const context = world.listeners.get(listener.name)
  if (!context || listener.tls === 'passthrough' || findServerName(context.passthrough, serverName) !== undefined)
    return { wrong: 'TLS is passed through there: the login is between the client and the back end' }

  const session = imagineSession(listener, serverName, address)
  const record = new LoginRecord(1)
  const started = performance.now()
  let result: Result
  try {
    // An operator's question needs an answer, so no limit on clients rejects or delays it.
    const services = { ...logins, limits: undefined }
    result = describe(await logIn(new Login(session, record, toAttempt(question.user, password), world, services)))
  } catch (thrown) {
    const { code, message } = asMuxError(thrown)
    result = { accepted: false, code, detail: message }
  } finally {
    record.slot?.release()
  }
  const ms = Math.round(performance.now() - started)
  const { user, backend } = record
  const { accepted } = result
  log.info({ session: session.id, listener: listener.name, user, backend, ms, accepted }, 'login tried')
  return { ...result, session: session.id, phase: session.phase, ...(backend !== undefined && { backend }), ms }
}

/** A client on this machine that has come as far as its login. */
function imagineSession(listener: ListenerSettings, serverName: string | undefined, address: string): LoginSession {
  return {
    id: `try-${randomBytes(4).toString('hex')}`,
    listener,
    limits: undefined,
    phase: 'login',
    stillTrying: () => undefined,
    onEnding: () => () => undefined,
    releaseLease: () => undefined,
    connection: {
      client: { address: familyOf(address) === 6 ? '::1' : '127.0.0.1', port: 0 },
      local: { address, port: listener.listen[0]?.port ?? 0 },
      hasProxyHeader: false,
      serverName,
      secure: listener.tls !== 'none',
      tlsVersion: undefined,
      cipher: undefined,
      isGone: false,
      describeTls: () => ({ version: undefined, cipher: undefined, certificate: undefined }),
      onLeaving: () => () => undefined,
      fail: () => undefined, // a password login never waits for its client
    },
  }
}

/** Octets, as they would come over the wire. */
function toAttempt(name: string, secret: Secret): LoginAttempt {
  const user = encodeUtf8(name)
  const password = new Secret(encodeUtf8(secret.reveal()))
  const credentials = { kind: 'password', authcid: user, password } as const
  return { user, mechanism: 'PLAIN', credentials, id: new Map(), ttl: undefined, preamble: [] }
}

type Result = Omit<LoginTest, 'session' | 'phase' | 'backend' | 'ms'>

function describe(result: Accepted | Refused): Result {
  if (!result.accepted) {
    const { refusal, code, detail } = result
    return { accepted: false, reason: refusal.reason, ...(code !== undefined && { code }), detail }
  }
  const { socket } = result.backend.detach()
  const { remoteAddress: ip, remotePort: port } = socket
  const tls = socket instanceof TLSSocket ? socket.getProtocol() : null
  socket.on('error', () => undefined) // the connection is over, and so is the interest in its errors
  socket.destroy()
  return { accepted: true, ...(ip !== undefined && { ip }), ...(port !== undefined && { port }), ...(tls && { tls }) }
}
