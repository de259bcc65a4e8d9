/** Reaches a back end: a TCP connection, and TLS on it at once or later. The deadline is the caller's. */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isShortage, MuxError, systemCode, type ErrorCode } from '../errors.ts'
import { createLeanSocket, type ReadMemory } from '../net/lean-socket.ts'
import { buildProxyHeader, type ProxyHeaderFacts } from '../net/proxy-header.ts'
import { connectTls } from '../tls/upgrade.ts'
import { keyOf, type Address } from './endpoint/addresses.ts'
import type { Backend } from './backends.ts'

/** Middleboxes forget a silent flow after five minutes or so; dead peers should not outlive it. */
const KEEPALIVE_MS = 120_000

/** A reset is of a connection that was there (RFC 9293 3.10.7.3 calls the other kind refused), if only until we looked. */
const CONNECT_ERRORS: Partial<Record<string, ErrorCode>> = {
  ECONNREFUSED: 'backend-refused',
  ECONNRESET: 'backend-closed',
}

/** Whom a PROXY header speaks of. */
export type Origin = Omit<Exclude<ProxyHeaderFacts, { local: true }>, 'version'>

/**
 * The TCP connection, with the PROXY header on it that the back end wants.
 * @param origin the client; undefined where mailmux asks on its own behalf
 * @param signal ends the attempt, with its reason as the error
 * @throws MuxError `backend-refused`, `backend-unreachable`, `backend-closed`, `local-shortage`, or the signal's reason
 */
export async function dial(
  { settings: { proxyProtocol }, readMemory }: Backend,
  address: Address,
  origin: Origin | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  const version = proxyProtocol === 'v1' ? 1 : 2
  // Built before there is a socket to lose, and written in one piece: receivers may want it whole in one read.
  const header =
    proxyProtocol === 'none' ? undefined : buildProxyHeader(origin ? { version, ...origin } : { version, local: true })
  const socket = await connectTcp(address, readMemory, signal)
  if (header) socket.write(header)
  return socket
}

/** The handshake with a back end, at once or after STARTTLS. @throws MuxError `backend-tls-failed`, `backend-certificate`, or the signal's reason */
export async function secureBackend(
  socket: Socket,
  backend: Backend,
  { host }: Address,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const abort = (): void => void socket.destroy()
  signal.addEventListener('abort', abort)
  try {
    const secured = await connectTls(socket, backend.tlsOptions?.(host) ?? {})
    checkPin(secured, backend)
    return secured
  } catch (error) {
    if (signal.aborted) throw signal.reason
    if (error instanceof MuxError) throw error
    const cause = systemCode(error)
    const code: ErrorCode = isCertificateError(cause) ? 'backend-certificate' : 'backend-tls-failed'
    throw new MuxError(code, `TLS with back end ${backend.settings.name} failed: ${cause}`, error)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function checkPin(socket: TLSSocket, { settings: { name, pins } }: Backend): void {
  if (pins.length === 0) return
  const shown = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '')
  if (shown !== undefined && pins.includes(shown)) return
  socket.destroy()
  throw new MuxError(
    'backend-certificate',
    `back end ${name} shows a certificate that is not pinned: SHA-256 ${shown ?? 'none'}`,
  )
}

function connectTcp(address: Address, memory: ReadMemory, signal: AbortSignal): Promise<Socket> {
  const { host, ip, port } = address
  return new Promise((resolve, reject) => {
    const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS }
    const socket = createLeanSocket(options, memory).connect({ host: ip, port })
    const settle = (error?: Error): void => {
      socket.off('connect', onConnect)
      socket.off('error', onError)
      signal.removeEventListener('abort', onAbort)
      // For life: between two owners of the socket an error would otherwise end the process. 'close' follows each error.
      socket.on('error', ignore)
      if (!error) return resolve(socket)
      socket.destroy()
      reject(error)
    }
    const onConnect = (): void => settle()
    const onAbort = (): void => settle(signal.reason as Error)
    const onError = (error: Error): void => {
      const cause = systemCode(error)
      const code = isShortage(cause) ? 'local-shortage' : (CONNECT_ERRORS[cause] ?? 'backend-unreachable')
      settle(
        new MuxError(code, `cannot connect to ${host === ip ? '' : `${host}, `}${keyOf(address)}: ${cause}`, error),
      )
    }
    socket.on('connect', onConnect)
    socket.on('error', onError)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort)
  })
}

const ignore = (): void => undefined

/** Node's codes for a certificate that is not to be trusted: OpenSSL's verify results by name, and its own for a wrong name. */
function isCertificateError(cause: string): boolean {
  return cause.startsWith('ERR_TLS_CERT') || /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ISSUER/.test(cause)
}
