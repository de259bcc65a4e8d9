/** Where a client comes from: the addresses of its connection, or those in the PROXY header of a trusted load balancer. */
import type { Socket } from 'node:net'
import { MuxError } from '../errors.ts'
import { plainAddress } from '../net/address.ts'
import type { LineSocket } from '../net/line-socket.ts'
import { ProxyHeaderError, readProxyHeader, type Endpoint, type ProxyHeader } from '../net/proxy-header.ts'
import { specOf, type ProtocolName } from '../protocol/registry.ts'
import type { ListenerContext } from '../world.ts'

/** Time for a complete PROXY header. Load balancers send it at once; a larger value would keep silent connections longer. */
const PROXY_HEADER_MS = 5000

/** `client`: the end of the client. `local`: the end to which it connected. */
export type Ends = { client: Endpoint; local: Endpoint }

/** The ends of the TCP connection, which with a load balancer in front are not those of the client. */
export function endsOf(socket: Socket): Ends {
  return {
    client: { address: plainAddress(socket.remoteAddress ?? 'unknown'), port: socket.remotePort ?? 0 },
    local: { address: plainAddress(socket.localAddress ?? 'unknown'), port: socket.localPort ?? 0 },
  }
}

/**
 * Reads the PROXY header, and nothing after it.
 * @param peer the address of the TCP connection, which must be among the trusted proxies
 * @param fail ends the wait if the header is not complete in time
 * @throws MuxError `client-not-trusted`, `client-proxy-header`, `client-closed`
 */
export async function readOrigin(
  lines: LineSocket,
  peer: string,
  { trustedProxies }: ListenerContext,
  fail: (error: MuxError) => void,
): Promise<ProxyHeader> {
  if (!trustedProxies.has(peer)) {
    throw new MuxError('client-not-trusted', 'not one of trusted_proxies, from which alone a PROXY header is taken')
  }
  const late = (): void =>
    fail(new MuxError('client-proxy-header', `no whole PROXY header within ${PROXY_HEADER_MS} ms`))
  const timer = setTimeout(late, PROXY_HEADER_MS)
  try {
    const { length, header } = await lines.peek(readProxyHeader)
    lines.skip(length)
    return header
  } catch (error) {
    throw error instanceof ProxyHeaderError ? new MuxError('client-proxy-header', error.message, error) : error
  } finally {
    clearTimeout(timer)
  }
}

/**
 * RFC 7301 3.2: refuses a client that has agreed with the proxy on another protocol (ALPACA).
 * @throws MuxError `client-proxy-header`
 */
export function checkAlpn(alpn: string | undefined, protocol: ProtocolName): void {
  if (alpn === undefined || alpn === specOf(protocol).alpn) return
  throw new MuxError(
    'client-proxy-header',
    `the proxy has agreed on ALPN ${JSON.stringify(alpn)}, which is not this protocol`,
  )
}
