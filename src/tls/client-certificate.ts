/** From a client's certificate to the user that it speaks for. Refuses what could be read in two ways. */
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Text } from '../octets.ts'

/** Whether the client has shown a certificate in this handshake that was issued by a CA that the listener trusts. */
export function isTrusted(socket: TLSSocket): boolean {
  return whyNotTrusted(socket) === undefined
}

/**
 * Why the certificate of a client is not trusted: OpenSSL's reason, or that there is none. Asked only where one was requested.
 * Bun reports the reason on the socket, as documented. Node computes it for its own tls.Server alone, so that on Node the handle is
 * asked in the same way as tls.Server does. Without an answer, the certificate is not trusted.
 */
export function whyNotTrusted(socket: TLSSocket): string | undefined {
  // For a TLS 1.3 session that was resumed without a certificate, Node's handle reports no error.
  if (socket.getPeerX509Certificate() === undefined) return 'no certificate was shown'
  // `certificates.ts` issues no tickets here. A resumed session would hold the verdict of an earlier handshake.
  if (socket.isSessionReused()) return 'the session was resumed, so the certificate was not verified again'
  if (socket.authorized) return undefined
  const handle = (socket as unknown as { _handle?: { verifyError?: () => Error | null } })._handle
  if (handle?.verifyError !== undefined) return handle.verifyError()?.message
  // a code, whatever its type says
  const problem = socket.authorizationError as Error | string | null | undefined
  return problem ? String(problem) : 'not verified'
}

/**
 * @param template text with `%{cn}` (subject common name) and `%{email}` (subject alternative name, e-mail)
 * @returns undefined where the certificate lacks what the template asks for (CVE-2019-3814: an absent name must not match any user), or
 * has several of it: which of them counts would be a guess
 */
export function userOfCertificate(template: string, certificate: X509Certificate): Text | undefined {
  const names: Record<string, string | undefined> = { cn: commonName(certificate), email: emailAddress(certificate) }
  const asked = [...template.matchAll(/%\{(cn|email)\}/g)].map(([, name = '']) => names[name])
  if (asked.includes(undefined)) return undefined
  return template.replace(/%\{(cn|email)\}/g, (_, name: string) => names[name] ?? '')
}

/**
 * Taken from the parsed subject: the text of the subject puts the values of one relative name (X.501 9.3) on one line, so that a
 * second common name hides in it.
 */
function commonName(certificate: X509Certificate): string | undefined {
  // Node gives no subject where it is empty (RFC 5280 4.1.2.6), and a list where a name stands several times, whatever its types say.
  const subject = certificate.toLegacyObject().subject as { CN?: string | string[] } | undefined
  return single([subject?.CN ?? []].flat())
}

/** RFC 5280 4.2.1.6, rfc822Name. An address in UTF-8 (RFC 9598 3) is not taken, but counts as a second one. */
function emailAddress({ subjectAltName }: X509Certificate): string | undefined {
  const addresses = (subjectAltName ?? '')
    .split(', ')
    .filter((entry) => /^(?:email:|othername:"?SmtpUTF8Mailbox:)/.test(entry))
  const only = single(addresses)
  return only?.startsWith('email:') === true ? only.slice('email:'.length) || undefined : undefined
}

/** Node quotes a value in which a separator might hide, and puts U+FFFD where it cannot decode one; such a name is no user's. */
function single(values: readonly string[]): string | undefined {
  const [value, ...more] = values
  return value === undefined || value === '' || more.length > 0 || /["\\,\x00-\x1f\x7f\ufffd]/.test(value)
    ? undefined
    : value
}
