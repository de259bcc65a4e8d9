/** Derives the user from a client certificate. An ambiguous certificate gives no user. */
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Text } from '../octets.ts'

/** Whether the client sent a certificate in this handshake that a CA of the listener has issued. */
export function isTrusted(socket: TLSSocket): boolean {
  return whyNotTrusted(socket) === undefined
}

/**
 * Why the certificate of a client is not trusted: OpenSSL's reason, or that no certificate was sent. Call it only if a certificate was
 * requested. Bun reports the reason on the socket, as documented. Node sets it only for its own tls.Server, so on Node this function
 * calls the handle as tls.Server does. Without a result, the certificate is not trusted.
 */
export function whyNotTrusted(socket: TLSSocket): string | undefined {
  // For a TLS 1.3 session that was resumed without a certificate, Node's handle reports no error.
  if (socket.getPeerX509Certificate() === undefined) return 'no certificate was shown'
  // `certificates.ts` issues no tickets here. A resumed session would contain the result of an earlier verification.
  if (socket.isSessionReused()) return 'the session was resumed, so the certificate was not verified again'
  if (socket.authorized) return undefined
  const handle = (socket as unknown as { _handle?: { verifyError?: () => Error | null } })._handle
  if (handle?.verifyError !== undefined) return handle.verifyError()?.message
  // Node sets a string, although the type says Error.
  const problem = socket.authorizationError as Error | string | null | undefined
  return problem ? String(problem) : 'not verified'
}

/**
 * @param template text with `%{cn}` (subject common name) and `%{email}` (subject alternative name, e-mail)
 * @returns undefined if the certificate lacks a name of the template (CVE-2019-3814: an absent name must not match any user), or
 * has several values for it, which would be ambiguous
 */
export function userOfCertificate(template: string, certificate: X509Certificate): Text | undefined {
  const names: Record<string, string | undefined> = { cn: commonName(certificate), email: emailAddress(certificate) }
  const asked = [...template.matchAll(/%\{(cn|email)\}/g)].map(([, name = '']) => names[name])
  if (asked.includes(undefined)) return undefined
  return template.replace(/%\{(cn|email)\}/g, (_, name: string) => names[name] ?? '')
}

/**
 * Uses the parsed subject. The text form puts the values of one relative name (X.501 9.3) on one line, which can hide a second common
 * name.
 */
function commonName(certificate: X509Certificate): string | undefined {
  // Differs from Node's types: an empty subject (RFC 5280 4.1.2.6) is undefined, and a repeated name is a list.
  const subject = certificate.toLegacyObject().subject as { CN?: string | string[] } | undefined
  return single([subject?.CN ?? []].flat())
}

/** RFC 5280 4.2.1.6, rfc822Name. An address in UTF-8 (RFC 9598 3) is not used, but counts as a second address. */
function emailAddress({ subjectAltName }: X509Certificate): string | undefined {
  const addresses = (subjectAltName ?? '')
    .split(', ')
    .filter((entry) => /^(?:email:|othername:"?SmtpUTF8Mailbox:)/.test(entry))
  const only = single(addresses)
  return only?.startsWith('email:') === true ? only.slice('email:'.length) || undefined : undefined
}

/** Node quotes a value that contains a separator, and writes U+FFFD if it cannot decode a value. Such values are not accepted as names. */
function single(values: readonly string[]): string | undefined {
  const [value, ...more] = values
  return value === undefined || value === '' || more.length > 0 || /["\\,\x00-\x1f\x7f\ufffd]/.test(value)
    ? undefined
    : value
}
