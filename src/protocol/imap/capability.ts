/** What IMAP clients are told mailmux can do, from the same predicates that decide what it does. */
import type { DialogueFacts } from '../protocol.ts'

/** RFC 9051 6.2.1: STARTTLS is there to be used once. */
export function canStartTls(facts: DialogueFacts, secure: boolean): boolean {
  return facts.startTlsOffered && !secure
}

/** Passwords cross the wire in clear only where the operator has said so (RFC 9051 11.1). */
export function mayAuthenticate(facts: DialogueFacts, secure: boolean): boolean {
  return secure || facts.allowPlaintextAuth
}

/**
 * The words before login. Only what is answered before login or what every server of this century has: a client that ignores
 * the back end's own list after login must not find less than it was promised.
 */
export function clientCapability(facts: DialogueFacts, secure: boolean): string {
  const words = ['IMAP4rev1', 'SASL-IR', 'LITERAL-', 'ID', 'ENABLE']
  if (canStartTls(facts, secure)) words.push('STARTTLS')
  words.push(mayAuthenticate(facts, secure) ? 'AUTH=PLAIN' : 'LOGINDISABLED')
  return words.join(' ')
}

/**
 * The back end's words after login, as the client may see them. UNAUTHENTICATE (RFC 8437) would let the next user in past the
 * routing; referrals (RFC 2221, RFC 2193) would send the client to hosts behind mailmux.
 */
export function relayedCapability(words: string): string {
  return words
    .split(' ')
    .filter((word) => word !== '' && !WITHHELD.has(word.toUpperCase()))
    .join(' ')
}

const WITHHELD = new Set(['UNAUTHENTICATE', 'LOGIN-REFERRALS', 'MAILBOX-REFERRALS', 'STARTTLS', 'LOGINDISABLED'])

export type BackendCapability = {
  canStartTls: boolean
  saslIr: boolean
  plain: boolean
  login: boolean
  literal: 'plus' | 'minus' | undefined
}

/** @returns undefined where the list lacks IMAP4rev1 and IMAP4rev2: that is no IMAP server to log in at */
export function parseBackendCapability(words: string): BackendCapability | undefined {
  const has = new Set(words.toUpperCase().split(' '))
  if (!has.has('IMAP4REV1') && !has.has('IMAP4REV2')) return undefined
  return {
    canStartTls: has.has('STARTTLS'),
    saslIr: has.has('SASL-IR'),
    plain: has.has('AUTH=PLAIN'),
    login: !has.has('LOGINDISABLED'),
    literal: has.has('LITERAL+') ? 'plus' : has.has('LITERAL-') || has.has('IMAP4REV2') ? 'minus' : undefined,
  }
}
