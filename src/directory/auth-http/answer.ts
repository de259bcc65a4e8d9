/**
 * Reads the answer of an auth server, in nginx's protocol, and finds the back end that it names. Pure. The answer can only select a
 * back end of the routing file: an attacker who could name any host would receive passwords there (CVE-2022-27924).
 */
import type { BackendSettings, ProtocolName } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import { shortestAddress } from '../../net/address.ts'
import { asOctets, decodeUtf8, type Octets } from '../../octets.ts'
import { Secret } from '../../secret.ts'
import { RouteInvalid } from '../errors.ts'

/** As the maximum of `failure_delay`: a longer wait would look like an outage. */
const LONGEST_WAIT_MS = 10_000

export type Answer =
  | { kind: 'ok'; server: string; port: number; user: string | undefined; password: Secret<Octets> | undefined }
  /** ask again after this */
  | { kind: 'wait'; waitMs: number }
  /** `waitMs` undefined: the connection is to be closed */
  | { kind: 'refused'; text: string; waitMs: number | undefined }

/**
 * 400 Bad Request, 414 URI Too Long, 431 Request Header Fields Too Large: the server (or a proxy before it) rejects the form or the
 * size of one question. Without Auth-Status this is no verdict on the password. RFC 9110 15.5.1, 15.5.15; RFC 6585 5.
 */
const REJECTS_QUESTION = new Set([400, 414, 431])

/** One login fails, with `directory-unavailable`. This says nothing of the auth server's availability: other logins are not affected. */
export class QuestionFailed extends MuxError {
  constructor(message: string, cause?: unknown) {
    super('directory-unavailable', message, cause)
  }
}

/**
 * @throws QuestionFailed where the server rejects this question, MuxError `directory-unavailable` where the reply is no answer,
 *   `route-invalid` where the answer cannot be followed
 */
export function readAnswer(status: number, rawHeaders: readonly string[]): Answer {
  const headers = collect(rawHeaders)
  const verdict = headers.get('auth-status')
  // nginx ignores the status line. Here the answer of a failing server, or an error page, does not count.
  const isSuccess = status >= 200 && status < 300
  const isRefusal = isSuccess || (status >= 400 && status < 500)
  if (verdict === undefined && REJECTS_QUESTION.has(status))
    throw new QuestionFailed(`the auth server rejects the question of this login with status ${status}`)
  if (verdict === undefined || !(verdict === 'OK' || verdict === 'WAIT' ? isSuccess : isRefusal)) {
    // Without the server's text: each new cause is a log line, and the text may differ each time.
    throw garbage(`status ${status} ${verdict === undefined ? 'without' : 'with'} Auth-Status`)
  }
  const waitMs = readWait(headers.get('auth-wait'))
  if (verdict === 'WAIT') return { kind: 'wait', waitMs: waitMs ?? 0 }
  if (verdict !== 'OK') return { kind: 'refused', text: quote(verdict), waitMs }

  const server = headers.get('auth-server') ?? ''
  const port = headers.get('auth-port') ?? ''
  if (server === '' || port === '') throw garbage('Auth-Status OK without Auth-Server and Auth-Port')
  if (!/^\d{1,5}$/.test(port))
    throw new RouteInvalid('unknown-backend', `the auth server names no port: ${quote(port)}`)
  const password = headers.get('auth-pass')
  if (password !== undefined && !isPassword(password)) {
    throw new RouteInvalid(
      'bad-password',
      'the password that the auth server gives is none: empty, or with control characters',
    )
  }
  return {
    kind: 'ok',
    server,
    port: Number(port),
    user: decode(headers.get('auth-user')),
    password: password === undefined ? undefined : new Secret(asOctets(password)),
  }
}

/** By lower-case name. @throws MuxError if a header of the protocol occurs twice, which is ambiguous */
function collect(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    if (!name.startsWith('auth-')) continue
    if (headers.has(name)) throw garbage(`${name} twice`)
    headers.set(name, rawHeaders[i + 1] ?? '')
  }
  return headers
}

/** In seconds. Like nginx, no valid number means: close the connection. */
function readWait(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,9}$/.test(text)) return undefined
  const ms = Number(text) * 1000
  return ms === 0 ? undefined : Math.min(ms, LONGEST_WAIT_MS)
}

function isPassword(octets: string): boolean {
  return octets !== '' && !/[\x00-\x1f\x7f]/.test(octets)
}

/** Node reads headers as latin1; names are UTF-8. Invalid UTF-8 becomes a character that no name may have. */
function decode(octets: string | undefined): string | undefined {
  return octets === undefined ? undefined : (decodeUtf8(asOctets(octets)) ?? '\ufffd')
}

/**
 * The one back end that is meant: its port for the protocol must be the answer's, and `server` one of its hosts or its name.
 * @throws MuxError `route-invalid` where that is none, or several
 */
export function findBackendAt(
  backends: ReadonlyMap<string, BackendSettings>,
  protocol: ProtocolName,
  { server, port }: { server: string; port: number },
): string {
  const wanted = canonical(server)
  const meant = [...backends.values()].filter(
    ({ name, hosts, ports }) =>
      ports[protocol] === port && (name === server || hosts.some((host) => canonical(host) === wanted)),
  )
  const [only, ...more] = meant
  if (only && more.length === 0) return only.name
  const where = `${quote(server)} port ${port}`
  const why = only
    ? `more than one back end of the routing file: ${meant.map(({ name }) => name).join(', ')}`
    : `no back end of the routing file for ${protocol}`
  throw new RouteInvalid('unknown-backend', `the auth server names ${where}, which is ${why}`)
}

/** One spelling for each address and each name. */
function canonical(host: string): string {
  return shortestAddress(host).toLowerCase()
}

function garbage(what: string): MuxError {
  return new MuxError('directory-unavailable', `the auth server answers ${what}`)
}

/** A server's text, for the log. */
function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100))
}
