/** From a client's certificate to the user that it speaks for. Refuses what could be read in two ways. */
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'

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
 * @returns undefined where the certificate lacks what the template asks for, or has several (CVE-2019-3814: no name, and anybody gets in)
 */
export function userOfCertificate(template: string, certificate: X509Certificate): string | undefined {
  // Node gives no subject where it is empty (RFC 5280 4.1.2.6), whatever its types say.
  const subject = certificate.subject as string | undefined
  const names: Record<string, string | undefined> = {
    cn: single(linesWith((subject ?? '').split('\n'), 'CN=')),
    email: single(linesWith((certificate.subjectAltName ?? '').split(', '), 'email:')),
  }
  const asked = [...template.matchAll(/%\{(cn|email)\}/g)].map(([, name = '']) => names[name])
  if (asked.includes(undefined)) return undefined
  return template.replace(/%\{(cn|email)\}/g, (_, name: string) => names[name] ?? '')
}

function linesWith(lines: readonly string[], prefix: string): string[] {
  return lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length))
}

/** Node quotes a value in which a separator might hide; such a name is no user's. */
function single(values: readonly string[]): string | undefined {
  const [value, ...more] = values
  return value === undefined || value === '' || more.length > 0 || /["\\,\x00-\x1f\x7f]/.test(value) ? undefined : value
}
