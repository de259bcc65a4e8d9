/** What ManageSieve clients read when something is refused or ended: response codes by RFC 5804 1.3, words of our own. */
import type { Goodbye, Refusal } from '../protocol.ts'
import { formatString } from './parse.ts'

/**
 * The answer to a refused login, as a line without its end. One text for a wrong password and for an unknown user. An outage is
 * TRYLATER, which clients do not take for a wrong password.
 */
export function refusalReply(refusal: Refusal): string {
  switch (refusal.reason) {
    case 'authentication-failed':
      return 'NO "Authentication failed."'
    case 'authorization-failed':
      return 'NO "Not allowed to log in as that user."'
    case 'disabled':
      return 'NO "This account is disabled."'
    case 'unavailable':
      return 'NO (TRYLATER) "Account is temporarily unavailable."'
    case 'misconfigured': // as Dovecot says it; RFC 5804 1.3 lets a client ignore the part behind the slash
      return 'NO (TRYLATER/NORETRY) "Account is unavailable."'
    case 'privacy-required':
      return 'NO (ENCRYPT-NEEDED) "Passwords are accepted over TLS only."'
    case 'too-many-sessions': // as Dovecot; RFC 5804 1.3 lets a server add codes
      return 'NO (LIMIT/CONNECTIONS) "Too many sessions."'
    case 'too-many-logins':
      return 'NO (TRYLATER) "Too many logins, please try again later."'
    case 'cancelled':
      return 'NO "Authentication cancelled."'
    case 'passed-on':
      return `NO (${refusal.code}) ${formatString(refusal.text)}`
  }
}

/** RFC 5804 1.3: BYE may come at any time, and the server then closes the connection. */
export function goodbyeReply(why: Goodbye): string {
  switch (why) {
    case 'login-timeout':
      return 'BYE "Too long without a login."'
    case 'too-many-connections':
      return 'BYE (TRYLATER) "Too many connections, please try again later."'
    case 'not-allowed':
      return 'BYE "Connections from this address are not accepted."'
    case 'over-limit':
      return 'BYE (TRYLATER) "Too many connections from this address, please try again later."'
    case 'line-too-long':
      return 'BYE "Line or literal too long."'
    case 'too-many-bad-commands':
      return 'BYE "Too many invalid commands."'
    case 'refused':
      return 'BYE "No more login attempts on this connection."'
    case 'shutting-down':
      return 'BYE (TRYLATER) "Shutting down, please connect again."'
    case 'paused':
      return 'BYE (TRYLATER) "Your mail store is being restarted, please connect again."'
    case 'on-hold':
      return 'BYE (TRYLATER) "Your mailbox is being moved, please connect again."'
    case 'idle':
      return 'BYE "Idle for too long."'
    case 'moved':
      return 'BYE (TRYLATER) "The mailbox has moved, please connect again."'
    case 'drained':
      return 'BYE (TRYLATER) "Maintenance, please connect again."'
    case 'rebalanced':
      return 'BYE (TRYLATER) "Sessions are being spread, please connect again."'
    case 'kicked':
      return 'BYE (TRYLATER) "The session was ended by an administrator."'
    case 'disabled':
      return 'BYE (TRYLATER) "This account is not available."'
    case 'internal':
      return 'BYE (TRYLATER) "Internal error."'
  }
}
