/**
 * Builds the question to an auth server: the headers of nginx's ngx_mail_auth_http_module, so that servers for nginx work with
 * mailmux. Pure. No value contains a character that ends a header.
 */
import type { X509Certificate } from 'node:crypto'
import type { AuthHttpSettings } from '../../config/settings.ts'
import { asOctets, encodeUtf8, type Octets, type Text } from '../../octets.ts'
import type { ClientCertificate, LoginFacts } from '../directory.ts'

/** Octets of one header line. nginx takes 8,192 for a line (`large_client_header_buffers`), Apache 8,190 (`LimitRequestFieldSize`). */
const MAX_LINE_BYTES = 8000
/** Octets of all lines that a client fills. Node takes 16 KiB for a head; 4 KiB are left for the URL and the configured headers. */
const MAX_QUESTION_BYTES = 12 * 1024

/** @param user a normalised name */
export function buildQuestion(user: Text, facts: LoginFacts, settings: AuthHttpSettings): Record<string, string> {
  const { protocol, proof, attempt, client, proxied, tls } = facts
  // Without send_password, or with a mechanism without a password, the header is empty, as nginx sends it.
  const password = settings.sendPassword && proof.kind === 'password' ? proof.password?.reveal() : undefined
  const question: Record<string, string> = {
    'Auth-Method': methodOf(proof),
    'Auth-User': escapeOctets(encodeUtf8(user)),
    'Auth-Pass': password === undefined ? '' : escapeOctets(password),
    'Auth-Protocol': protocol,
    'Auth-Login-Attempt': String(attempt),
    'Client-IP': client.address,
  }
  if (proxied) {
    question['Proxy-Protocol-Addr'] = client.address
    question['Proxy-Protocol-Port'] = String(client.port)
    question['Proxy-Protocol-Server-Addr'] = proxied.address
    question['Proxy-Protocol-Server-Port'] = String(proxied.port)
  }
  if (tls) {
    question['Auth-SSL'] = 'on'
    if (tls.version !== undefined) question['Auth-SSL-Protocol'] = tls.version
    if (tls.cipher !== undefined) question['Auth-SSL-Cipher'] = tls.cipher
    if (tls.certificate) Object.assign(question, describeCertificate(tls.certificate, settings.sendClientCertificate))
  }
  for (const [name, value] of settings.headers) question[name] = value.reveal()
  return question
}

/**
 * Passwords and certificates are the client's choice, and escaping makes them up to three times as long. What exceeds the limits of
 * usual servers would be answered with 400 or 431 at each login.
 * @param question of `buildQuestion`; the configured headers are not counted, as no client can change them
 * @returns what is too long, for the log; undefined where the question may be sent
 */
export function findOversize(
  question: Readonly<Record<string, string>>,
  { headers: configured }: Pick<AuthHttpSettings, 'headers'>,
): string | undefined {
  let total = 0
  for (const [name, value] of Object.entries(question)) {
    if (configured.has(name)) continue
    const length = name.length + ': '.length + value.length + '\r\n'.length
    if (length > MAX_LINE_BYTES)
      return `a header ${name.toLowerCase()} of ${length} octets, and ${MAX_LINE_BYTES} is the limit`
    total += length
  }
  return total > MAX_QUESTION_BYTES ? `headers of ${total} octets, and ${MAX_QUESTION_BYTES} is the limit` : undefined
}

/** `plain` and `external` are the names that nginx sends. nginx has no other mechanism of mailmux; a server that does not know a name refuses the login. */
function methodOf(proof: LoginFacts['proof']): string {
  if (proof.kind === 'password') return 'plain'
  return proof.kind === 'certificate' ? 'external' : proof.mechanism.toLowerCase()
}

function describeCertificate({ shown, problem }: ClientCertificate, whole: boolean): Record<string, string> {
  if (!shown) return { 'Auth-SSL-Verify': 'NONE' }
  return {
    'Auth-SSL-Verify': problem === undefined ? 'SUCCESS' : `FAILED:${problem}`,
    'Auth-SSL-Subject': nameOf(shown, 'subject'),
    'Auth-SSL-Issuer': nameOf(shown, 'issuer'),
    'Auth-SSL-Serial': shown.serialNumber,
    'Auth-SSL-Fingerprint': shown.fingerprint.replaceAll(':', '').toLowerCase(),
    ...(whole && { 'Auth-SSL-Cert': escapeOctets(asOctets(shown.toString())) }),
  }
}

/**
 * A distinguished name as RFC 2253 and nginx write it: the most specific part first, octets beyond ASCII as `\C3\A9`.
 * Node gives a line for each part, the other way round, with the special characters escaped and Unicode as it is.
 */
function nameOf(certificate: X509Certificate, which: 'subject' | 'issuer'): string {
  // Node gives nothing where the name is empty (RFC 5280 4.1.2.6), whatever its types say.
  const name = certificate[which] as string | undefined
  const parts = (name ?? '')
    .split('\n')
    .reverse()
    .map((part) => part.split(' + ').reverse().join('+')) // a `+` of the value itself is escaped
  return encodeUtf8(parts.join(',')).replace(/[^ -~]/g, (octet) => `\\${hexOf(octet)}`)
}

/**
 * `%` and everything that could end a header or a value, as `%0D`: nginx's own set (NGX_ESCAPE_MAIL_AUTH), so that servers decode
 * what they have always decoded, and DEL, which no header may hold.
 */
export function escapeOctets(octets: Octets): string {
  return octets.replace(/[\x00-\x20%\x7f]/g, (octet) => `%${hexOf(octet)}`)
}

function hexOf(octet: string): string {
  return octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')
}
