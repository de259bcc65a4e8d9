/**
 * What listeners show and ask for in TLS: one certificate for each server name and the first for everybody else, the protocol's ALPN
 * name, and session tickets that every instance with the same secret can read.
 */
import { constants, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type TLSSocketOptions } from 'node:tls'
import type { ListenerSettings, Settings } from '../config/settings.ts'
import { findServerName } from './server-name.ts'
import { deriveTicketKeys } from './ticket-keys.ts'

/** TLS 1.2 with AEAD and forward secrecy alone (RFC 9325 4.2): its CBC ciphers leak by their timing (Lucky 13). TLS 1.3 has only such. */
const AEAD_CIPHERS = 'ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20'

export type Certificates = {
  /** what a handshake takes, by listener; only listeners that terminate TLS are in it */
  serverOptions: ReadonlyMap<string, TLSSocketOptions>
  /** end of validity of each certificate, for the metrics */
  expiries: { file: string; notAfterMs: number }[]
  /** when the ticket keys are to be replaced, which takes building this anew */
  validUntilMs: number
}

/** @param secret what ticket keys are derived from; of this process alone where no other is configured */
export function buildCertificates(
  tls: Settings['tls'],
  listeners: readonly ListenerSettings[],
  secret: string,
  nowMs: number,
): Certificates {
  const { keys: ticketKeys, validUntilMs } = deriveTicketKeys(secret, nowMs)
  const terminating = listeners.filter((listener) => listener.tls === 'starttls' || listener.tls === 'implicit')
  return {
    serverOptions: new Map(terminating.map((listener) => [listener.name, buildOptions(tls, listener, ticketKeys)])),
    expiries: tls.certificates.map(({ certFile, cert }) => ({
      file: certFile,
      notAfterMs: Date.parse(new X509Certificate(cert).validTo),
    })),
    validUntilMs,
  }
}

function buildOptions(tls: Settings['tls'], listener: ListenerSettings, ticketKeys: Buffer): TLSSocketOptions {
  const contexts = new Map<string, SecureContext>()
  for (const { cert, key } of tls.certificates) {
    const context = createSecureContext({
      cert,
      key: key.reveal(),
      minVersion: listener.minVersion ?? tls.minVersion,
      ticketKeys,
      sessionIdContext: 'mailmux', // OpenSSL resumes no session with a client certificate without one
      ciphers: listener.ciphers ?? AEAD_CIPHERS,
      // RFC 9325 3.5: a client that renegotiates again and again costs a server much and itself little.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      ...(listener.clientCa !== undefined && { ca: listener.clientCa }),
    })
    // `*` is the first: everybody whose name no certificate carries.
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
    requestCert: listener.clientCa !== undefined,
    rejectUnauthorized: false, // whether a certificate is needed is the session's to say; see `isTrusted`
  }
}

/** The DNS names that a certificate speaks for (RFC 6125 6.4: the common name is not one). */
function namesOf(cert: string): string[] {
  const alternatives = new X509Certificate(cert).subjectAltName ?? ''
  return alternatives
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length).toLowerCase())
}
