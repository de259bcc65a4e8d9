/**
 * The TLS settings of each listener: one certificate for each server name and the first for every other name, the protocol's ALPN
 * name, whether a client certificate is requested, and session tickets that every instance with the same secret accepts.
 */
import { constants, createHash, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type TLSSocketOptions } from 'node:tls'
import type { CertificateSettings, ListenerSettings, Settings } from '../config/settings.ts'
import { specOf } from '../protocol/registry.ts'
import { findServerName } from './server-name.ts'
import { deriveTicketKeys, ticketKeysEndMs } from './ticket-keys.ts'

/** In TLS 1.2 only ciphers with AEAD and forward secrecy (RFC 9325 4.2): CBC ciphers leak by their timing (Lucky 13). TLS 1.3 has only AEAD ciphers. */
const AEAD_CIPHERS = 'ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20'

/** The options of a handshake, with the certificates for a client that sends no known server name. */
export type ServerTls = TLSSocketOptions & {
  /** The certificates for a server name; undefined if all names have the same certificates. */
  contextFor?: (serverName: string | undefined) => SecureContext | undefined
}

export type Certificates = {
  /** by listener; only listeners that terminate TLS are in it */
  serverOptions: ReadonlyMap<string, ServerTls>
  /** end of validity of each certificate, for the metrics */
  expiries: { file: string; notAfterMs: number }[]
  /** Whether the ticket keys are valid at this time (milliseconds of the epoch). If not, build the certificates again. */
  areKeysOf: (nowMs: number) => boolean
}

/** @param secret the source of the ticket keys: configured, or made at the start of mailmux */
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

function buildOptions(tls: Settings['tls'], listener: ListenerSettings, secret: string, nowMs: number): ServerTls {
  const { clientCa } = listener
  const minVersion = listener.minVersion ?? tls.minVersion
  const ciphers = listener.ciphers ?? AEAD_CIPHERS
  const scope = ticketScope(listener, minVersion, ciphers)
  const ticketKeys = clientCa === undefined ? deriveTicketKeys(secret, scope, nowMs) : undefined
  const build = (certificates: readonly CertificateSettings[]): SecureContext =>
    createSecureContext({
      cert: certificates.map(({ cert }) => cert),
      key: certificates.map(({ key }) => key.reveal()),
      minVersion,
      ciphers,
      ...(ticketKeys && { ticketKeys }),
      sessionIdContext: scope.slice(0, MAX_CONTEXT_CHARS), // RFC 6066 3: a session is resumed only where it was made
      // RFC 9325 3.5: repeated renegotiation costs a server much and the client little.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (clientCa === undefined ? 0 : constants.SSL_OP_NO_TICKET),
      ...(clientCa !== undefined && { ca: clientCa }),
    })
  const contexts = buildContexts(tls.certificates, build)
  const { alpn } = specOf(listener.protocol)
  const fallback = contexts.get('*')
  const isOne = new Set(contexts.values()).size <= 1
  return {
    ...(fallback && { secureContext: fallback }),
    // Not Node's SNICallback: Node uses only one certificate of the context that it returns, not one for each kind of key.
    ...(!isOne && { contextFor: (name: string | undefined) => findServerName(contexts, name) }),
    // RFC 7301 3.2: a client that names only other protocols is refused (ALPACA). A client without ALPN is accepted.
    ALPNCallback: ({ protocols }) => (protocols.includes(alpn) ? alpn : undefined),
    requestCert: clientCa !== undefined,
    // If a certificate is required, OpenSSL ends the handshake of a client without one before it sends a ticket. With Node the
    // handshake succeeds for an untrusted certificate in either case; the session checks `isTrusted`.
    rejectUnauthorized: clientCa !== undefined && listener.clientUser === undefined,
  }
}

/** OpenSSL's SSL_MAX_SID_CTX_LENGTH, which a session id context may not exceed. */
const MAX_CONTEXT_CHARS = 32

/**
 * The scope in which a session ticket is valid. Listeners that request client certificates issue no tickets (SSL_OP_NO_TICKET; Node
 * keeps no sessions on the server): a ticket contains the certificate but not its chain, so it could not be verified again against the
 * current CAs, and Node reports no error for a TLS 1.3 session that was resumed without a certificate. For other listeners, the scope
 * contains the listener, its protocol and its policy: a session with a weaker cipher is not resumed at a stricter listener.
 */
function ticketScope({ name, protocol, clientCa }: ListenerSettings, minVersion: string, ciphers: string): string {
  return createHash('sha256')
    .update(JSON.stringify([name, protocol, minVersion, ciphers, clientCa ?? null]))
    .digest('hex')
}

/**
 * By server name, and `*` for every other name: the first certificate of each kind of key that carries the name, from which OpenSSL
 * takes the one that the client supports. For `*` they are the first certificate and those that carry all of its names.
 */
function buildContexts(
  certificates: readonly CertificateSettings[],
  build: (certificates: readonly CertificateSettings[]) => SecureContext,
): Map<string, SecureContext> {
  const known = certificates.map((settings) => ({
    settings,
    names: namesOf(settings.cert),
    kind: keyOf(settings.cert),
  }))
  const byCertificates = new Map<string, SecureContext>()
  const contextOf = (carrying: typeof known): SecureContext => {
    // OpenSSL holds one certificate of each kind of key: a second one would replace the first.
    const chosen = carrying.filter(({ kind }, index) => carrying.findIndex((one) => one.kind === kind) === index)
    const key = chosen.map((one) => known.indexOf(one)).join()
    const context = byCertificates.get(key) ?? build(chosen.map(({ settings }) => settings))
    byCertificates.set(key, context)
    return context
  }
  const contexts = new Map<string, SecureContext>()
  const [first] = known
  if (!first) return contexts
  contexts.set(
    '*',
    contextOf(known.filter((one) => one === first || first.names.every((name) => one.names.includes(name)))),
  )
  for (const name of new Set(known.flatMap(({ names }) => names)))
    contexts.set(name, contextOf(known.filter(({ names }) => names.includes(name))))
  return contexts
}

/** The kind of key by which OpenSSL distinguishes certificates. The curve of an EC key is not part of it. */
function keyOf(cert: string): string | undefined {
  return new X509Certificate(cert).publicKey.asymmetricKeyType
}

/** The DNS names of a certificate (RFC 6125 6.4: the common name is not one). */
function namesOf(cert: string): string[] {
  const alternatives = new X509Certificate(cert).subjectAltName ?? ''
  return alternatives
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length).toLowerCase())
}
