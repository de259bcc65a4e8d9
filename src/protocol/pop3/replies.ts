/** What POP3 clients read when something is refused or ended: response codes by RFC 3206 and RFC 2449, words of our own. */
import type { Goodbye, Refusal } from '../protocol.ts'

/**
 * The answer to a refused login. A wrong password and an unknown user have the same text.
 * An outage is [SYS/TEMP], never [AUTH]: clients ask for a new password on that (RFC 3206 5).
 */
export function refusalReply(refusal: Refusal): string {
  switch (refusal.reason) {
    case 'authentication-failed':
      return '-ERR [AUTH] Authentication failed.'
    case 'authorization-failed':
      return '-ERR [AUTH] Not allowed to log in as that user.'
    case 'disabled':
      return '-ERR [AUTH] This account is disabled.'
    case 'unavailable':
      return '-ERR [SYS/TEMP] Account is temporarily unavailable.'
    case 'misconfigured':
      return '-ERR [SYS/PERM] Account is unavailable.'
    case 'privacy-required':
      return '-ERR [AUTH] Passwords are accepted over TLS only.'
    case 'too-many-sessions': // RFC 2449 8.1.2
      return '-ERR [IN-USE] Too many sessions.'
    case 'too-many-logins': // RFC 2449 8.1.1
      return '-ERR [LOGIN-DELAY] Too many logins, please try again later.'
    case 'cancelled':
      return '-ERR Authentication cancelled.'
    case 'passed-on':
      return `-ERR [${refusal.code}] ${refusal.text}`
  }
}

export function goodbyeReply(why: Goodbye): string {
  switch (why) {
    case 'login-timeout':
      return '-ERR Too long without a login.'
    case 'too-many-connections': // RFC 3206 4
      return '-ERR [SYS/TEMP] Too many connections, please try again later.'
    case 'not-allowed': // RFC 3206 4
      return '-ERR [SYS/PERM] Connections from this address are not accepted.'
    case 'over-limit':
      return '-ERR [SYS/TEMP] Too many connections from this address, please try again later.'
    case 'line-too-long':
      return '-ERR Line too long.'
    case 'too-many-bad-commands':
      return '-ERR Too many invalid commands.'
    case 'refused':
      return '-ERR No more login attempts on this connection.'
    case 'shutting-down':
      return '-ERR [SYS/TEMP] Shutting down, please connect again.'
    case 'paused':
      return '-ERR [SYS/TEMP] Your mail store is being restarted, please connect again.'
    case 'on-hold':
      return '-ERR [SYS/TEMP] Your mailbox is being moved, please connect again.'
    case 'idle': // RFC 1939 3: the session ends without a word; this is for the time before login
      return '-ERR Idle for too long.'
    case 'moved': // before login; a session that relays is closed without a line
      return '-ERR [SYS/TEMP] The mailbox has moved, please connect again.'
    case 'drained':
      return '-ERR [SYS/TEMP] Maintenance, please connect again.'
    case 'rebalanced':
      return '-ERR [SYS/TEMP] Sessions are being spread, please connect again.'
    case 'kicked':
      return '-ERR [SYS/TEMP] The session was ended by an administrator.'
    case 'disabled':
      return '-ERR [SYS/TEMP] This account is not available.'
    case 'internal':
      return '-ERR [SYS/TEMP] Internal error.'
  }
}
