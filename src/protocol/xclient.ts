/** The client's identity for a back end that accepts XCLIENT, in the form of Dovecot's POP3 and ManageSieve proxies. Postfix introduced the command. */
import type { ClientIdentity } from './protocol.ts'

/** @returns the command without its line end. Values are xtext (RFC 3461 4), so that none can break the line. */
export function formatXclient(identity: ClientIdentity): string {
  const pairs: [string, string][] = [
    ['ADDR', identity.client.address],
    ['PORT', String(identity.client.port)],
    ['DESTADDR', identity.local.address],
    ['DESTPORT', String(identity.local.port)],
    ['SESSION', identity.sessionId],
    ['TTL', String(identity.ttl)],
    ['CLIENT-TRANSPORT', identity.tls ? 'TLS' : 'insecure'],
    ...(identity.serverName === undefined ? [] : [['DESTNAME', identity.serverName] as [string, string]]),
  ]
  return `XCLIENT ${pairs.map(([name, value]) => `${name}=${toXtext(value)}`).join(' ')}`
}

function toXtext(text: string): string {
  return text.replace(
    /[^!-*,-<>-~]/g,
    (character) => `+${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}
