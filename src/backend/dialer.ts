/** Reaches a back end: a TCP connection, and TLS on it at once or later. The deadline is the caller's. */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isShortage, MuxError, systemCode, type ErrorCode } from '../errors.ts'
import { createLeanSocket } from '../net/lean-socket.ts'
import { buildProxyHeader, type ProxyHeaderFacts } from '../net/proxy-header.ts'
import { connectTls } from '../tls/upgrade.ts'
import { keyOf, type Address } from './endpoint/addresses.ts'
import type { Backend } from './backends.ts'

/** A reset is of a connection that was there (RFC 9293 3.10.7.3 calls the other kind refused), if only until we looked. */
const CONNECT_ERRORS: Partial<Record<string, ErrorCode>> = {
  ECONNREFUSED: 'backend-refused',
  ECONNRESET: 'backend-closed',
}

/** Whom a PROXY header speaks of. */
export type Origin = Omit<Exclude<ProxyHeaderFacts, { local: true }>, 'version'>

/** A connection on its way. To give it up, destroy the socket with the MuxError that `connected` is to reject with. */
export type Dialling = { readonly socket: Socket; readonly connected: Promise<void> }

/**
 * Connects, and sends the PROXY header that the back end expects.
 * @param origin the client; undefined where mailmux connects on its own behalf
 * @returns `connected` rejects with MuxError `backend-refused`, `backend-unreachable`, `backend-closed`, `local-shortage`
 */
export function dial(
  { settings: { proxyProtocol }, readMemory }: Backend,
  address: Address,
  origin: Origin | undefined,
): Dialling {
  const version = proxyProtocol === 'v1' ? 1 : 2
  // Built before there is a socket to lose, and written in one piece: receivers may expect it whole in one read.
  const header =
    proxyProtocol === 'none' ? undefined : buildProxyHeader(origin ? { version, ...origin } : { version, local: true })
  const socket = createLeanSocket({ allowHalfOpen: true, noDelay: true }, readMemory).connect({
    host: address.ip,
    port: address.port,
  })
  // For life: between two owners of the socket an error would otherwise end the process. 'close' follows each error.
  socket.on('error', ignore)
  const connected = new Promise<void>((resolve, reject) => {
    const onError = (error: Error): void => reject(error instanceof MuxError ? error : connectError(error, address))
    socket.once('error', onError)
    socket.once('connect', () => {
      socket.off('error', onError)
      if (header) socket.write(header)
      resolve()
    })
  })
  return { socket, connected }
}

function connectError(error: Error, address: Address): MuxError {
  const cause = systemCode(error)
  const code = isShortage(cause) ? 'local-shortage' : (CONNECT_ERRORS[cause] ?? 'backend-unreachable')
  const where = `${address.host === address.ip ? '' : `${address.host}, `}${keyOf(address)}`
  return new MuxError(code, `cannot connect to ${where}: ${cause}`, error)
}

/**
 * The handshake with a back end, at once or after STARTTLS. To give it up, destroy the socket with a MuxError.
 * @throws MuxError `backend-tls-failed`, `backend-certificate`, or the error that the socket is destroyed with
 */
export async function secureBackend(socket: Socket, backend: Backend, { host }: Address): Promise<TLSSocket> {
  try {
    const secured = await connectTls(socket, backend.tlsOptions?.(host) ?? {})
    checkPin(secured, backend)
    return secured
  } catch (error) {
    if (error instanceof MuxError) throw error
    if (socket.errored instanceof MuxError) throw socket.errored // the caller's reason
    const cause = systemCode(error)
    const code: ErrorCode = isCertificateError(cause) ? 'backend-certificate' : 'backend-tls-failed'
    throw new MuxError(code, `TLS with back end ${backend.settings.name} failed: ${cause}`, error)
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

const ignore = (): void => undefined

/** Node's codes for a certificate that is not to be trusted: OpenSSL's verify results by name, and its own for a wrong name. */
function isCertificateError(cause: string): boolean {
  return cause.startsWith('ERR_TLS_CERT') || /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ISSUER/.test(cause)
}
