/** Who the client is, told to an IMAP back end by ID (RFC 2971), in the keys that Dovecot's proxies use. */
import type { ClientIdentity } from '../protocol.ts'
import { formatQuoted } from '../reader.ts'

/** RFC 2971 3.3. */
const MAX_PAIRS = 30
/** Dovecot reads 8 KiB of a line before login. What does not fit is left out, as a longer line would cost the user the login. */
const MAX_LIST_BYTES = 4096

/** @returns the command without its line end. The client's own `x-` pairs are left out: they are how proxies speak to each other. */
export function formatIdCommand(tag: string, identity: ClientIdentity): string {
  const pairs: [string, string][] = [
    ['x-session-id', identity.sessionId],
    ['x-originating-ip', identity.client.address],
    ['x-originating-port', String(identity.client.port)],
    ['x-connected-ip', identity.local.address],
    ['x-connected-port', String(identity.local.port)],
    ...(identity.serverName === undefined ? [] : [['x-connected-name', identity.serverName] as [string, string]]),
    ['x-proxy-ttl', String(identity.ttl)],
    ['x-client-transport', identity.tls ? 'TLS' : 'insecure'],
  ]
  for (const [key, value] of identity.id) if (!key.startsWith('x-')) pairs.push([key, value])
  let list = ''
  for (const pair of pairs.slice(0, MAX_PAIRS)) {
    const [key, value] = [formatQuoted(pair[0]), formatQuoted(pair[1])]
    if (key === undefined || value === undefined) continue // a literal would cost a round trip
    const text = `${list === '' ? '' : ' '}${key} ${value}`
    if (list.length + text.length <= MAX_LIST_BYTES) list += text
  }
  return `${tag} ID (${list})`
}

/** How many more proxies the session may pass, as the proxy before us has put it; undefined where there was none. */
export function readTtl(id: ReadonlyMap<string, string>): number | undefined {
  const text = id.get('x-proxy-ttl')
  return text !== undefined && /^\d{1,3}$/.test(text) ? Number(text) : undefined
}
