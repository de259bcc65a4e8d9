/** What a POP3 back end means with a refused login: by its response code (RFC 2449, RFC 3206), else by the words that real servers have for it. */
import { MuxError } from '../../errors.ts'
import { meaningOf } from '../known-words.ts'
import type { Refusal } from '../protocol.ts'
import type { Response } from './parse.ts'

/** Codes of RFC 2449 8.1 and of large providers that tell a user something; their words are meant for the user. */
const PASSED_ON = new Set(['IN-USE', 'LOGIN-DELAY', 'LIMIT', 'ALERT', 'THROTTLED', 'WEBALERT'])
/** Dovecot before 2.3 says IN-USE where it has failed itself. */
const DOUBTFUL = new Set(['SYS/TEMP', 'IN-USE'])

type Refused = { refusal: Refusal; detail: string }

/** The texts of other refusals stay in the log, lest they reveal who exists. @throws MuxError `backend-unavailable` */
export function refusalOf({ code, text }: Response): Refused {
  const detail = `the back end said -ERR${code === undefined ? '' : ` [${code}]`} ${text}`
  const meaning = code === undefined || DOUBTFUL.has(code) ? meaningOf(text) : undefined
  // Words that have a code of their own are passed on with it.
  const hasOwnWords = code !== undefined && PASSED_ON.has(code) && meaning !== 'unavailable'
  if (hasOwnWords) return { refusal: { reason: 'passed-on', code, text }, detail }
  if (meaning !== undefined && meaning !== 'unavailable') return { refusal: REFUSALS[meaning], detail }
  if (meaning === 'unavailable' || code === 'SYS/TEMP') throw new MuxError('backend-unavailable', detail)
  if (code === 'SYS/PERM' || code?.startsWith('REFERRAL')) return { refusal: { reason: 'misconfigured' }, detail }
  return { refusal: { reason: 'authentication-failed' }, detail }
}

/** In words of our own. POP3 has no code for a limit: IN-USE says that the password is right, and is what Dovecot says (RFC 2449 8.1.2). */
const REFUSALS = {
  account: { reason: 'unavailable' },
  limit: { reason: 'passed-on', code: 'IN-USE', text: 'Too many connections.' },
  locked: { reason: 'passed-on', code: 'IN-USE', text: 'The mailbox is in use by another session.' },
  closed: { reason: 'disabled' },
  misconfigured: { reason: 'misconfigured' },
  credentials: { reason: 'authentication-failed' },
} as const satisfies Record<string, Refusal>
