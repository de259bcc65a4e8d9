/** Probes a back end on a connection of its own: whether it accepts, greets or logs a test user in, and what it can do before login. */
import type { Backend } from '../backend/backends.ts'
import { dial } from '../backend/dialer.ts'
import type { Endpoint } from '../backend/endpoint/endpoint.ts'
import type { Probe } from '../backend/health/prober.ts'
import { MuxError } from '../errors.ts'
import { encodeUtf8 } from '../octets.ts'
import type { BackendLogin } from '../protocol/protocol.ts'
import { protocols } from '../protocol/protocols.ts'
import { BackendConnection } from '../backend/backend-connection.ts'

/**
 * mailmux itself is the client here: a PROXY header says LOCAL.
 * @returns the back end's capabilities if they were asked for
 * @throws MuxError as a login would, `backend-test-user` if the test user is refused, or the signal's reason
 */
export async function probeBackend(
  backend: Backend,
  { address, protocol: name }: Endpoint,
  kind: Probe,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  const protocol = protocols[name]
  const connection = kind === 'tcp' ? undefined : new BackendConnection(backend, address, undefined)
  const tcp = connection ? undefined : dial(backend, address, undefined)
  const abort = (): void => {
    tcp?.socket.destroy(signal.reason as Error)
    connection?.fail(signal.reason as MuxError)
  }
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  try {
    await (tcp?.connected ?? connection?.open())
    if (!connection || kind === 'tls') return undefined
    if (kind === 'greeting') return await protocol.askCapabilities(connection, backend.settings.tls === 'starttls')
    const answer = await protocol.replayLogin(connection, testLogin(backend))
    if (!answer.accepted) throw new MuxError('backend-test-user', `the test user is refused: ${answer.detail}`)
    connection.write(protocol.leave)
    return undefined
  } finally {
    signal.removeEventListener('abort', abort)
    connection?.close()
    tcp?.socket.destroy()
  }
}

/** As many proxies as a login may pass: another mailmux may be behind this one. */
const TTL = 6

/** @throws MuxError `internal` where the configuration has none, which it is not loaded with */
function testLogin({ settings: { health, tls, proxyProtocol } }: Backend): BackendLogin {
  const { testUser } = health
  if (!testUser) throw new MuxError('internal', 'a check by login without a user')
  const user = encodeUtf8(testUser.user)
  return {
    user,
    credentials: { kind: 'password', authcid: user, password: testUser.secret },
    startTls: tls === 'starttls',
    preamble: [],
    proxyHeader: proxyProtocol !== 'none',
    ttl: TTL,
    identity: undefined,
    aboutToTell: () => undefined,
  }
}
