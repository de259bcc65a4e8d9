/** The capabilities that IMAP clients get, computed by the predicates that also check commands. */
import { MECHANISMS, type MechanismName } from '../../config/settings.ts'
import { canStartTls, mayUseLogin, offeredMechanisms } from '../predicates.ts'
import type { ClientWire, DialogueFacts } from '../protocol.ts'
import { remember } from '../remember.ts'

/**
 * The words before login: what mailmux does itself, and what holds on every back end for clients that never ask again. The result is
 * kept with the list of announced words, which changes only after a back end has announced other words.
 */
export function clientCapability(facts: DialogueFacts, client: ClientWire): string {
  const { announced, mechanisms, startTlsOffered, allowPlaintextAuth } = facts
  let known = capabilityLists.get(announced)
  if (known?.mechanisms !== mechanisms) capabilityLists.set(announced, (known = { mechanisms, words: [] }))
  const isCertified = client.certifiedUser !== undefined
  const key = (startTlsOffered ? 1 : 0) | (allowPlaintextAuth ? 2 : 0) | (client.secure ? 4 : 0) | (isCertified ? 8 : 0)
  return (known.words[key] ??= buildClientCapability(facts, client))
}

/** For each list of announced words: what a client gets, by four facts about the client and its listener. */
const capabilityLists = new WeakMap<readonly string[], { mechanisms: readonly string[]; words: string[] }>()

function buildClientCapability(facts: DialogueFacts, client: ClientWire): string {
  // What is computed leaves IMAP4rev1 out; the operator's own list has it, and stands as it is.
  const hasRevision = facts.announced.some((word) => /^IMAP4rev1$/i.test(word))
  const own = hasRevision ? [] : ['IMAP4rev1', 'SASL-IR', 'ID', 'ENABLE']
  const words = new Set([
    ...own,
    ...facts.announced.map((word) => (/^LITERAL[+-]$/i.test(word) ? word.toUpperCase() : word)),
  ])
  if (words.has('LITERAL+')) words.delete('LITERAL-') // RFC 7888 5: one of them
  if (canStartTls(facts, client.secure)) words.add('STARTTLS')
  for (const mechanism of offeredMechanisms(facts, client)) words.add(`AUTH=${mechanism}`)
  if (!mayUseLogin(facts, client)) words.add('LOGINDISABLED')
  return [...words].join(' ')
}

/** Words about the time before login, for which mailmux has its own. */
const BEFORE_LOGIN = /^(AUTH=.*|SASL-IR|STARTTLS|LOGINDISABLED|ID|ENABLE|LANGUAGE|IMAP4|IMAP4rev1|IMAP4rev2)$/i

/**
 * The words with those that they imply. What is common to servers with LITERAL+, LITERAL- and IMAP4rev2 is LITERAL-, the lesser one
 * (RFC 7888 5, RFC 9051 appendix E). @param words in upper case
 */
export function withImplied(words: readonly string[]): readonly string[] {
  if (words.includes('LITERAL-') || !(words.includes('LITERAL+') || words.includes('IMAP4REV2'))) return words
  return [...words, 'LITERAL-']
}

/** Of a back end's words before login, those about the session after it. */
export function announceable(words: readonly string[]): string[] {
  return words.filter((word) => !BEFORE_LOGIN.test(word) && !WITHHELD.has(word.toUpperCase()))
}

export function mechanismsIn(words: readonly string[]): MechanismName[] {
  const has = new Set(words.map((word) => word.toUpperCase()))
  return MECHANISMS.filter((mechanism) => has.has(`AUTH=${mechanism}`))
}

export type SessionCapability = {
  /** the words as the client may see them */
  words: string
  /** the back end would let the next user in on the same connection (RFC 8437), past the routing */
  unauthenticate: boolean
}

/**
 * The back end's words after login. UNAUTHENTICATE would let the next user in past the routing; referrals (RFC 2221, RFC 2193) would
 * send the client to hosts behind mailmux.
 */
export const parseSessionCapability = remember((text: string): SessionCapability => {
  const words = text.split(' ').filter(Boolean)
  const unauthenticate = words.some((word) => word.toUpperCase() === 'UNAUTHENTICATE')
  const isWithheld = (word: string): boolean =>
    WITHHELD.has(word.toUpperCase()) || (unauthenticate && /^COMPRESS=/i.test(word)) // compressed commands cannot be inspected
  return { words: words.filter((word) => !isWithheld(word)).join(' '), unauthenticate }
})

const WITHHELD = new Set(['UNAUTHENTICATE', 'LOGIN-REFERRALS', 'MAILBOX-REFERRALS', 'STARTTLS', 'LOGINDISABLED'])

export type BackendCapability = {
  /** as announced, in upper case */
  words: readonly string[]
  canStartTls: boolean
  saslIr: boolean
  id: boolean
  mechanisms: readonly MechanismName[]
  /** the command, not the mechanism of that name */
  login: boolean
  nonSyncLiterals: boolean
}

/** @returns undefined where the list lacks IMAP4rev1 and IMAP4rev2: that is no IMAP server to log in at */
export const parseBackendCapability = remember((text: string): BackendCapability | undefined => {
  const words = text.toUpperCase().split(' ')
  const has = new Set(words)
  if (!has.has('IMAP4REV1') && !has.has('IMAP4REV2')) return undefined
  return {
    words,
    canStartTls: has.has('STARTTLS'),
    saslIr: has.has('SASL-IR'),
    id: has.has('ID'),
    mechanisms: mechanismsIn(words),
    login: !has.has('LOGINDISABLED'),
    nonSyncLiterals: has.has('LITERAL+') || has.has('LITERAL-') || has.has('IMAP4REV2'),
  }
})
