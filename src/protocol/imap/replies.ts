/** What IMAP clients read when something is refused or ended: response codes by RFC 5530, words of our own. */
import type { Goodbye, Refusal } from '../protocol.ts'

/**
 * The answer to a refused login, without its tag. A wrong password and an unknown user have the same text.
 * An outage is never AUTHENTICATIONFAILED: clients drop the password on that (RFC 5530 3).
 */
export function refusalReply(refusal: Refusal): string {
  switch (refusal.reason) {
    case 'authentication-failed':
      return 'NO [AUTHENTICATIONFAILED] Authentication failed.'
    case 'authorization-failed':
      return 'NO [AUTHORIZATIONFAILED] Not allowed to log in as that user.'
    case 'disabled':
      return 'NO [CONTACTADMIN] This account is disabled.'
    case 'unavailable':
      return 'NO [UNAVAILABLE] Account is temporarily unavailable.'
    case 'misconfigured':
      return 'NO [SERVERBUG] Account is temporarily unavailable.'
    case 'privacy-required':
      return 'NO [PRIVACYREQUIRED] Passwords are accepted over TLS only.'
    case 'too-many-sessions': // RFC 5530 3: LIMIT, here and below
      return 'NO [LIMIT] Too many sessions.'
    case 'too-many-logins':
      return 'NO [LIMIT] Too many logins, please try again later.'
    case 'cancelled': // RFC 9051 6.2.2
      return 'BAD Authentication cancelled.'
    case 'passed-on':
      return `NO [${refusal.code}] ${refusal.text}`
  }
}

export function goodbyeReply(why: Goodbye): string {
  switch (why) {
    case 'login-timeout':
      return '* BYE Too long without a login.'
    case 'too-many-connections': // RFC 5530 3; in place of a greeting: RFC 9051 7.1.5
      return '* BYE [UNAVAILABLE] Too many connections, please try again later.'
    case 'not-allowed': // RFC 5530 3
      return '* BYE [CONTACTADMIN] Connections from this address are not accepted.'
    case 'over-limit':
      return '* BYE [LIMIT] Too many connections from this address, please try again later.'
    case 'line-too-long':
      return '* BYE Line or literal too long.'
    case 'too-many-bad-commands':
      return '* BYE Too many invalid commands.'
    case 'refused':
      return '* BYE No more login attempts on this connection.'
    case 'shutting-down':
      return '* BYE [UNAVAILABLE] Shutting down, please connect again.'
    case 'paused': // without a tagged NO, after which some mobile clients stop push for an hour
      return '* BYE [UNAVAILABLE] Your mail store is being restarted, please connect again.'
    case 'on-hold':
      return '* BYE [UNAVAILABLE] Your mailbox is being moved, please connect again.'
    case 'idle': // RFC 9051 5.4
      return '* BYE Idle for too long.'
    case 'moved': // never ALERT in these: Thunderbird opens a window for it
      return '* BYE [UNAVAILABLE] The mailbox has moved, please connect again.'
    case 'drained':
      return '* BYE [UNAVAILABLE] Maintenance, please connect again.'
    case 'rebalanced':
      return '* BYE [UNAVAILABLE] Sessions are being spread, please connect again.'
    case 'kicked':
      return '* BYE [UNAVAILABLE] The session was ended by an administrator.'
    case 'disabled':
      return '* BYE [UNAVAILABLE] This account is not available.'
    case 'internal':
      return '* BYE [SERVERBUG] Internal error.'
  }
}
