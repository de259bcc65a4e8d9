/** What a ManageSieve back end means with a refused login: by its response code (RFC 5804 1.3), else by the words that real servers have for it. */
import { MuxError } from '../../errors.ts'
import { meaningOf } from '../known-words.ts'
import type { Refusal } from '../protocol.ts'
import type { Response } from './parse.ts'

/** These are about the connection between mailmux and the back end, or lead around mailmux. A client cannot change them. */
const MISCONFIGURED = new Set(['ENCRYPT-NEEDED', 'AUTH-TOO-WEAK', 'REFERRAL', 'TRYLATER/NORETRY'])

type Refused = { refusal: Refusal; detail: string }

/** The texts of other refusals stay in the log, so that they do not reveal which users exist. @throws MuxError `backend-unavailable`, `backend-bye` */
export function refusalOf(response: Exclude<Response, { type: 'data' }>): Refused {
  const { type, code, text } = response
  const detail = `the back end said ${type}${code === undefined ? '' : ` (${code})`} ${text}`
  // RFC 5804 1.3: BYE is about the connection. A wrong password is NO.
  if (type === 'BYE') throw new MuxError('backend-bye', detail)
  if (code !== undefined && MISCONFIGURED.has(code)) return { refusal: { reason: 'misconfigured' }, detail }
  const [root] = code?.split('/') ?? []
  if (root === 'TRYLATER') throw new MuxError('backend-unavailable', detail)
  // The words of a limit are meant for the user.
  if (code !== undefined && (root === 'LIMIT' || root === 'QUOTA'))
    return { refusal: { reason: 'passed-on', code, text }, detail }
  const meaning = code === undefined ? meaningOf(text) : undefined
  if (meaning === 'unavailable') throw new MuxError('backend-unavailable', detail)
  if (meaning !== undefined) return { refusal: REFUSALS[meaning], detail }
  return { refusal: { reason: 'authentication-failed' }, detail }
}

/** In words of our own: the server did not say that its words are for the user. */
const REFUSALS = {
  account: { reason: 'unavailable' },
  limit: { reason: 'passed-on', code: 'LIMIT/CONNECTIONS', text: 'Too many connections.' },
  locked: { reason: 'unavailable' },
  closed: { reason: 'disabled' },
  misconfigured: { reason: 'misconfigured' },
  credentials: { reason: 'authentication-failed' },
} as const satisfies Record<string, Refusal>
