/**
 * The log lines of a login. The fields of `login refused` and their order are promised in docs/operations.md, where fail2ban and
 * programs of its kind read them: new fields go behind the others.
 */
import type { Address } from '../backend/endpoint/addresses.ts'
import { keyOf } from '../backend/endpoint/addresses.ts'
import type { Log } from '../log.ts'
import type { LoginAttempt, Refusal } from '../protocol/protocol.ts'
import { octetsToPrintable } from '../printable.ts'
import type { RouteSource } from '../routing/router.ts'
import type { ClientConnection } from '../client/connection.ts'

/** Longer than nearly every name, and short enough that a line of guesses stays one line on a screen. */
const MAX_ATTEMPTED = 128

/** Where a client comes from and where it came to: the beginning of each line about it. */
export function peerFields({ id: session, client, listener, local }: ClientConnection) {
  return {
    session,
    client: client.address,
    clientPort: client.port,
    listener: listener.name,
    local: local.address,
    localPort: local.port,
  }
}

/** Logs the beginning and each phase of a session, from the PROXY header on where there is one. A load balancer's probe is not logged. */
export function logPhases(log: Log, conn: ClientConnection): void {
  let last: string | undefined
  conn.onPhase = (phase) => {
    if (phase === last || phase === 'proxy-header' || conn.isHealthCheck) return
    if (last === undefined) log.debug(peerFields(conn), 'session begins')
    last = phase
    const { id: session, bornMs, serverName, tlsVersion: tls, cipher } = conn
    log.debug({ session, phase, serverName, tls, cipher, ms: Math.round(performance.now() - bornMs) }, 'phase begins')
  }
}

/** What was decided on a login, before its back end is asked. */
export function logRoute(
  log: Log,
  { id: session, user, backend }: ClientConnection,
  routed: { source: RouteSource } | { refusal: Refusal; detail: string },
): void {
  const decision =
    'refusal' in routed ? { reason: routed.refusal.reason, detail: routed.detail } : { source: routed.source }
  log.debug({ session, user, backend, ...decision }, 'route decided')
}

/** What a back end has answered to a login, one line for each attempt; `detail` has its words for a refusal, which hold no secret. */
export function logAnswer(
  log: Log,
  { id: session, backend }: ClientConnection,
  { address, attempt, startedMs }: { address: Address; attempt: number; startedMs: number },
  answer: { accepted: boolean; refusal?: Refusal; code?: string; detail?: string },
): void {
  const { accepted, refusal, code, detail } = answer
  const ms = Math.round(performance.now() - startedMs)
  const fields = {
    session,
    backend,
    address: keyOf(address),
    attempt,
    accepted,
    reason: refusal?.reason,
    code,
    detail,
    ms,
  }
  log.debug(fields, 'back end answered')
}

/** @param startedMs the login command, on the clock of `performance.now()` */
export function logAccepted(
  log: Log,
  conn: ClientConnection,
  { mechanism }: LoginAttempt,
  { address, source, startedMs }: { address: Address; source: RouteSource; startedMs: number },
): void {
  const { user, master, tlsVersion: tls, cipher, backend } = conn
  const ms = Math.round(performance.now() - startedMs)
  log.info(
    { ...peerFields(conn), user, mechanism, tls, cipher, backend, address: keyOf(address), source, ms, master },
    'login accepted',
  )
}

export function logRefused(
  log: Log,
  conn: ClientConnection,
  login: LoginAttempt,
  {
    refusal,
    code,
    detail,
    startedMs,
  }: { refusal: Refusal; code: string | undefined; detail: string; startedMs: number },
): void {
  const { user, master, tlsVersion: tls, backend, phase } = conn
  const fields = {
    ...peerFields(conn),
    attempted: octetsToPrintable(login.user, MAX_ATTEMPTED),
    user,
    mechanism: login.mechanism,
    tls,
    backend,
    phase,
    reason: refusal.reason,
    code,
    detail,
    ms: Math.round(performance.now() - startedMs),
    master,
  }
  log.info(fields, 'login refused')
}
