/** Whether the auth_http server accepts a connection, over TLS where its URL says https. No login is asked. */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { AuthHttpSettings } from '../config/settings.ts'
import { isShortage, systemCode } from '../errors.ts'
import { isAddress } from '../net/address.ts'
import { error, inTime, warning, type Told } from './findings.ts'

/** A server that needs longer for TCP and TLS alone is of no use to logins. */
const CONNECT_MS = 5000

export async function probeAuthServer({ url, ca }: Pick<AuthHttpSettings, 'url' | 'ca'>): Promise<Told[]> {
  const isSecure = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/gu, '') // the brackets of an IPv6 address
  const port = Number(url.port) || (isSecure ? 443 : 80)
  const names = isAddress(host) ? {} : { servername: host } // RFC 6066 3: no address in SNI
  const socket = isSecure
    ? connectTls({ host, port, ...names, ...(ca !== undefined && { ca }) })
    : connectTcp({ host, port })
  try {
    const connected = once(socket, isSecure ? 'secureConnect' : 'connect')
    await inTime(CONNECT_MS, connected, () => new Error(`no answer within ${CONNECT_MS} ms`))
    return []
  } catch (thrown) {
    const cause = systemCode(thrown)
    if (isShortage(cause)) return [warning(`the auth server cannot be probed: local-shortage: ${cause}`)]
    return [error(`directory-unavailable: cannot connect to the auth server ${url.host}: ${cause}`)]
  } finally {
    socket.on('error', () => undefined) // it has answered; how it ends is of no interest
    socket.destroy()
  }
}
