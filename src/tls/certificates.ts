/**
 * The TLS settings of each listener: one certificate for each server name and the first for every other name, the protocol's ALPN
 * name, whether a client certificate is requested, and session tickets that every instance with the same secret accepts.
 */
import { constants, createHash, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type TLSSocketOptions } from 'node:tls'
import type { ListenerSettings, Settings } from '../config/settings.ts'
import { findServerName } from './server-name.ts'
import { deriveTicketKeys, ticketKeysEndMs } from './ticket-keys.ts'

/** TLS 1.2 with AEAD and forward secrecy alone (RFC 9325 4.2): its CBC ciphers leak by their timing (Lucky 13). TLS 1.3 has only such. */
const AEAD_CIPHERS = 'ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20'

export type Certificates = {
  /** what a handshake takes, by listener; only listeners that terminate TLS are in it */
  serverOptions: ReadonlyMap<string, TLSSocketOptions>
  /** end of validity of each certificate, for the metrics */
  expiries: { file: string; notAfterMs: number }[]
  /** Whether the ticket keys are those of this moment, in milliseconds of the epoch. Others take building this anew. */
  areKeysOf: (nowMs: number) => boolean
}

/** @param secret what ticket keys are derived from; of this process alone where no other is configured */
export function buildCertificates(
  tls: Settings['tls'],
  listeners: readonly ListenerSettings[],
  secret: string,
  nowMs: number,
): Certificates {
  const terminating = listeners.filter((listener) => listener.tls === 'starttls' || listener.tls === 'implicit')
  return {
    serverOptions: new Map(terminating.map((listener) => [listener.name, buildOptions(tls, listener, secret, nowMs)])),
    expiries: tls.certificates.map(({ certFile, cert }) => ({
      file: certFile,
      notAfterMs: Date.parse(new X509Certificate(cert).validTo),
    })),
    areKeysOf: (laterMs) => ticketKeysEndMs(laterMs) === ticketKeysEndMs(nowMs),
  }
}

function buildOptions(
  tls: Settings['tls'],
  listener: ListenerSettings,
  secret: string,
  nowMs: number,
): TLSSocketOptions {
  const { clientCa } = listener
  const minVersion = listener.minVersion ?? tls.minVersion
  const ciphers = listener.ciphers ?? AEAD_CIPHERS
  const scope = ticketScope(listener, minVersion, ciphers)
  const ticketKeys = clientCa === undefined ? deriveTicketKeys(secret, scope, nowMs) : undefined
  const contexts = new Map<string, SecureContext>()
  for (const { cert, key } of tls.certificates) {
    const context = createSecureContext({
      cert,
      key: key.reveal(),
      minVersion,
      ciphers,
      ...(ticketKeys && { ticketKeys }),
      sessionIdContext: scope.slice(0, MAX_CONTEXT_CHARS), // RFC 6066 3: a session is resumed only where it was made
      // RFC 9325 3.5: a client that renegotiates again and again costs a server much and itself little.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (clientCa === undefined ? 0 : constants.SSL_OP_NO_TICKET),
      ...(clientCa !== undefined && { ca: clientCa }),
    })
    // `*` is the first: every name that no certificate carries.
    for (const name of ['*', ...namesOf(cert)]) if (!contexts.has(name)) contexts.set(name, context)
  }
  const fallback = contexts.get('*')
  return {
    ...(fallback && { secureContext: fallback }),
    // With a single certificate there is nothing to choose, and no callback to pay for at each handshake.
    ...(tls.certificates.length > 1 && {
      SNICallback: (name: string, answer: (error: Error | null, context?: SecureContext) => void) =>
        answer(null, findServerName(contexts, name)),
    }),
    // RFC 7301 3.2: a client that speaks to another protocol (ALPACA) is turned away; one that names none is fine.
    ALPNCallback: ({ protocols }) => (protocols.includes(listener.protocol) ? listener.protocol : undefined),
    requestCert: clientCa !== undefined,
    // Where a certificate is required, OpenSSL ends the handshake of a client that shows none before it sends a ticket. Node lets
    // the handshake of an untrusted certificate succeed in either case; the session decides by `isTrusted`.
    rejectUnauthorized: clientCa !== undefined && listener.clientUser === undefined,
  }
}

/** OpenSSL's SSL_MAX_SID_CTX_LENGTH, which a session id context may not exceed. */
const MAX_CONTEXT_CHARS = 32

/**
 * What a session ticket is good for. Where client certificates are requested, there are no tickets at all (SSL_OP_NO_TICKET; Node
 * keeps no sessions on the server): a ticket holds the certificate but not its chain, so it could not be verified again against the
 * present CAs, and Node reports no error for a TLS 1.3 session that was resumed without a certificate. Elsewhere the listener, its
 * protocol and its policy are in the scope: a session that was made with a weaker cipher is not resumed at a stricter listener.
 */
function ticketScope({ name, protocol, clientCa }: ListenerSettings, minVersion: string, ciphers: string): string {
  return createHash('sha256')
    .update(JSON.stringify([name, protocol, minVersion, ciphers, clientCa ?? null]))
    .digest('hex')
}

/** The DNS names that a certificate speaks for (RFC 6125 6.4: the common name is not one). */
function namesOf(cert: string): string[] {
  const alternatives = new X509Certificate(cert).subjectAltName ?? ''
  return alternatives
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length).toLowerCase())
}
