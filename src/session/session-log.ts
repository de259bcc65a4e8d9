/**
 * The log lines of sessions and logins. The fields of `login refused` and their order are promised in docs/logs.md: fail2ban and
 * similar programs read them. New fields go behind the others.
 */
import { keyOf } from '../backend/endpoint/addresses.ts'
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'
import type { LoginSession } from '../login/login.ts'
import { octetsToPrintable } from '../printable.ts'
import type { SessionEvent, Subscriber } from './events.ts'

/** Longer than nearly every name, and short enough that a line of guesses stays one line on a screen. */
const MAX_ATTEMPTED = 128

type Event<Type extends SessionEvent['type']> = Extract<SessionEvent, { type: Type }>

export function subscribeLog(log: Log): Subscriber {
  const limit = createLogLimit()
  return (event) => {
    switch (event.type) {
      case 'turned-away':
      case 'room-made': {
        const { listener, max } = event
        const others = limit('too many connections')
        if (others) log.warn({ listener, maxConnections: max, ...others }, 'too many connections')
        return
      }
      case 'rejected': {
        const { listener, client, rejection } = event
        const { limit: name, detail } = rejection
        const others = limit(name)
        if (others) log.warn({ listener, client, limit: name, detail, ...others }, 'connection rejected')
        return
      }
      case 'phase-entered':
        return logPhase(log, event)
      case 'route-decided':
        return logRoute(log, event)
      case 'backend-answered':
        return logAnswer(log, event)
      case 'attempt-failed': {
        const { login, attempt, error } = event
        const { code, message: detail } = error
        const fields = { session: login.session.id, backend: login.record.backend, attempt, code, detail }
        return log.warn(fields, 'back end tried again')
      }
      case 'logged-in':
        return logAccepted(log, event)
      case 'login-refused':
        return logRefused(log, event)
      case 'failed':
        return log.error({ session: event.session.id, err: event.error.cause ?? event.error }, 'defect')
      case 'ended':
        return logEnd(log, event)
      default: // events that have a metric and no line
        return undefined
    }
  }
}

/** Where a client comes from and where it connected to: the beginning of each line about it. */
function peerFields({ id: session, listener, connection: { client, local } }: LoginSession) {
  return {
    session,
    client: client.address,
    clientPort: client.port,
    listener: listener.name,
    local: local.address,
    localPort: local.port,
  }
}

function logPhase(log: Log, { session, isFirst }: Event<'phase-entered'>): void {
  if (isFirst) log.debug(peerFields(session), 'session begins')
  const { id, phase, ageMs, connection } = session
  const { serverName, tlsVersion: tls, cipher } = connection
  log.debug({ session: id, phase, serverName, tls, cipher, ms: Math.round(ageMs) }, 'phase begins')
}

/** The decision on a login before its back end is asked. */
function logRoute(log: Log, { login: { session, record }, route }: Event<'route-decided'>): void {
  const { user, backend } = record
  const decision =
    'refusal' in route ? { reason: route.refusal.reason, detail: route.detail } : { source: route.source }
  log.debug({ session: session.id, user, backend, ...decision }, 'route decided')
}

/** A back end's answer to a login, one line for each attempt. `detail` has its words for a refusal, which hold no secret. */
function logAnswer(log: Log, { login, attempt, address, answer, tookMs }: Event<'backend-answered'>): void {
  const { session, record } = login
  const { accepted } = answer
  const { refusal, code, detail } = answer.accepted ? NOT_REFUSED : answer
  const fields = {
    session: session.id,
    backend: record.backend,
    address: keyOf(address),
    attempt,
    accepted,
    reason: refusal?.reason,
    code,
    detail,
    ms: Math.round(tookMs),
  }
  log.debug(fields, 'back end answered')
}

const NOT_REFUSED = { refusal: undefined, code: undefined, detail: undefined }

function logAccepted(log: Log, { login, address, route: { source }, tookMs }: Event<'logged-in'>): void {
  const { session, record, attempt } = login
  const { user, master, backend } = record
  const { tlsVersion: tls, cipher } = session.connection
  const { mechanism } = attempt
  const ms = Math.round(tookMs)
  log.info(
    { ...peerFields(session), user, mechanism, tls, cipher, backend, address: keyOf(address), source, ms, master },
    'login accepted',
  )
}

function logRefused(log: Log, { login, refused, tookMs }: Event<'login-refused'>): void {
  const { session, record, attempt } = login
  const { user, master, backend } = record
  const fields = {
    ...peerFields(session),
    attempted: octetsToPrintable(attempt.user, MAX_ATTEMPTED),
    user,
    mechanism: attempt.mechanism,
    tls: session.connection.tlsVersion,
    backend,
    phase: session.phase,
    reason: refused.refusal.reason,
    code: refused.code,
    detail: refused.detail,
    ms: Math.round(tookMs),
    master,
  }
  log.info(fields, 'login refused')
}

/** The one line of a session's life. */
function logEnd(log: Log, { session, ending, detail }: Event<'ended'>): void {
  const { login, phase, connection } = session
  const fields = {
    ...peerFields(session),
    user: login?.user,
    backend: login?.backend,
    tls: connection.tlsVersion,
    phase,
    ...ending,
    detail,
    ms: Math.round(session.ageMs),
  }
  log.info(fields, 'session ended')
}
