/**
 * Ends a session at UNAUTHENTICATE (RFC 8437), which would bring it back before its login, where the next user would get in past routing,
 * limits and logs, and at commands behind which it could not be seen. Only sessions of back ends that announce UNAUTHENTICATE get this guard.
 */
import type { SessionGuard } from '../protocol.ts'
import { createFollower } from './follow.ts'

/**
 * COMPRESS (RFC 4978) and STARTTLS change what the octets mean, and so may AUTHENTICATE (RFC 4422 3.7: a security layer). LOGIN belongs to
 * the time before login, as AUTHENTICATE does (RFC 9051 6.2): it would be the next user's.
 */
const FORBIDDEN = new Set(['UNAUTHENTICATE', 'COMPRESS', 'STARTTLS', 'AUTHENTICATE', 'LOGIN'])

/** @returns a guard for one session */
export function createUnauthenticateGuard(): SessionGuard {
  return createFollower((name) => !FORBIDDEN.has(name))
}
