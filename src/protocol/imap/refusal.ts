/** What an IMAP back end means with a refused login: by its response code (RFC 5530), else by the words that real servers have for it. */
import { MuxError } from '../../errors.ts'
import { meaningOf } from '../known-words.ts'
import type { Refusal } from '../protocol.ts'
import type { Status } from './parse.ts'

/** RFC 5530 3: codes that are about the server or about mailmux, and neither about the user nor about the password. */
const MISCONFIGURED = new Set(['SERVERBUG', 'CLIENTBUG', 'CORRUPTION', 'CANNOT', 'PRIVACYREQUIRED', 'REFERRAL'])
/** UNAVAILABLE of RFC 5530, and what some servers say in its place. */
const UNAVAILABLE = new Set(['UNAVAILABLE', 'TEMPFAIL'])
/** Codes of RFC 5530, RFC 9051, RFC 9208 and Gmail that tell a user something; their words are meant for the user. */
const PASSED_ON = new Set([
  ...['EXPIRED', 'CONTACTADMIN', 'LIMIT', 'ALERT', 'OVERQUOTA', 'INUSE'],
  ...['THROTTLED', 'WEBALERT'],
])

type Refused = { refusal: Refusal; detail: string }

/** The texts of other refusals stay in the log, lest they reveal who exists. @throws MuxError `backend-unavailable` */
export function refusalOf({ type, code, codeArguments, text }: Status): Refused {
  const detail = `the back end said ${type}${code === undefined ? '' : ` [${code}]`} ${text}`
  const meaning = code === undefined || UNAVAILABLE.has(code) ? meaningOf(text) : undefined
  if (meaning !== undefined && meaning !== 'unavailable') return { refusal: REFUSALS[meaning], detail }
  if (meaning === 'unavailable' || (code !== undefined && UNAVAILABLE.has(code)))
    throw new MuxError('backend-unavailable', detail)
  // BAD is about our command, not about the password; a referral would lead past the routing file, and is not followed.
  if (type === 'BAD' || (code !== undefined && MISCONFIGURED.has(code)))
    return { refusal: { reason: 'misconfigured' }, detail }
  if (code === 'AUTHORIZATIONFAILED' || code === 'NOPERM')
    return { refusal: { reason: 'authorization-failed' }, detail }
  if (code !== undefined && PASSED_ON.has(code)) {
    const withArguments = codeArguments === '' ? code : `${code} ${codeArguments}` // WEBALERT has a URL
    return { refusal: { reason: 'passed-on', code: withArguments, text }, detail }
  }
  return { refusal: { reason: 'authentication-failed' }, detail }
}

/** In words of our own: the server has not said that its words are for the user. */
const REFUSALS = {
  account: { reason: 'unavailable' },
  limit: { reason: 'passed-on', code: 'LIMIT', text: 'Too many connections.' },
  locked: { reason: 'passed-on', code: 'INUSE', text: 'The mailbox is in use by another session.' },
  closed: { reason: 'disabled' },
  misconfigured: { reason: 'misconfigured' },
  credentials: { reason: 'authentication-failed' },
} as const satisfies Record<string, Refusal>
