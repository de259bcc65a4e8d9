/** From a client's certificate to the user that it speaks for. Refuses what could be read in two ways. */
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'

/** Whether the certificate that a client has shown was issued by a CA that the listener trusts. */
export function isTrusted(socket: TLSSocket): boolean {
  return whyNotTrusted(socket) === undefined
}

/**
 * What OpenSSL has against the certificate that a client has shown, or has not shown. Asked only where one was asked for.
 * Bun says so on the socket, as documented; Node works that out for its own tls.Server alone, so that there the handle is asked in the way
 * in which that asks. No answer is a no.
 */
export function whyNotTrusted(socket: TLSSocket): string | undefined {
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
