/** Limits the wrong credentials on one connection, in every protocol and by every mechanism. */
import { MuxError } from '../errors.ts'
import type { Refusal } from './protocol.ts'

/**
 * Codes of a back end (RFC 5530, RFC 2449, Gmail) that refuse the credentials or the account. The others, LIMIT or IN-USE,
 * are about the moment.
 */
const ABOUT_CREDENTIALS = new Set(['ALERT', 'AUTH', 'CONTACTADMIN', 'EXPIRED', 'WEBALERT'])

function isAboutCredentials(refusal: Refusal): boolean {
  switch (refusal.reason) {
    case 'authentication-failed':
    case 'authorization-failed':
    case 'disabled':
    // RFC 7628 3.2.3: a back end explains its refusal of a token in a challenge, and the client answers with a cancel.
    case 'cancelled':
      return true
    case 'passed-on':
      return ABOUT_CREDENTIALS.has(refusal.code.replace(/ .*/, '')) // WEBALERT has a URL behind it
    default:
      return false
  }
}

/**
 * @param max how many refusals of credentials the connection may have
 * @returns counts a refusal that the client has been told; throws MuxError `client-too-many-wrong-passwords` at the last
 */
export function limitWrongPasswords(max: number): (refusal: Refusal) => void {
  let count = 0
  return (refusal) => {
    if (isAboutCredentials(refusal)) count++
    if (count >= max) throw new MuxError('client-too-many-wrong-passwords', `${count} refused logins on one connection`)
  }
}
