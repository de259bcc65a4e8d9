/**
 * The log lines of a login. The fields of `login refused` and their order are promised in docs/operations.md, where fail2ban and
 * programs of its kind read them: new fields go behind the others.
 */
import type { Address } from '../backend/addresses.ts'
import { keyOf } from '../backend/addresses.ts'
import type { Log } from '../log.ts'
import type { LoginAttempt, Refusal } from '../protocol/protocol.ts'
import { octetsToPrintable } from '../printable.ts'
import type { Route } from '../routing/router.ts'
import type { ClientConnection } from './connection.ts'

/** Longer than nearly every name, and short enough that a line of guesses stays one line on a screen. */
const MAX_ATTEMPTED = 128

export type RouteSource = Extract<Route, { kind: 'backend' }>['source']

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

/** @param startedMs the login command, on the clock of `performance.now()` */
export function logAccepted(
  log: Log,
  conn: ClientConnection,
  { mechanism }: LoginAttempt,
  { address, source, startedMs }: { address: Address; source: RouteSource; startedMs: number },
): void {
  const { user, tlsVersion: tls, cipher, backend } = conn
  const ms = Math.round(performance.now() - startedMs)
  log.info(
    { ...peerFields(conn), user, mechanism, tls, cipher, backend, address: keyOf(address), source, ms },
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
  const { user, tlsVersion: tls, backend, phase } = conn
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
  }
  log.info(fields, 'login refused')
}
