/**
 * What a user's name may be, and how it is read: by the configuration for the names that it holds, and by routing for the names that
 * clients send. Both call `readUser`, so that a client can use every name that the configuration accepts, and no other. Pure.
 */
import { domainToASCII, domainToUnicode } from 'node:url'
import type { Text } from './octets.ts'

/** What becomes of the case of a local part. `keep`: it tells users apart (RFC 5321 2.4). `lower`: it does not, as in Dovecot. */
export type UserCase = 'keep' | 'lower'

/** How a listener and the routing file want names to be read. */
export type NameRules = {
  userCase: UserCase
  defaultDomain: string | undefined
  /** characters that part user from domain; `@` always does */
  delimiters: string
  /** domain that means another; by its key */
  aliases: ReadonlyMap<string, string>
}

/** One thing that was found in a name, for an explanation of how it was read. */
export type NameNote =
  | { what: 'delimiter'; delimiter: string }
  | { what: 'default-domain'; domain: string }
  | { what: 'alias'; from: string; to: string }
  /** why it is no user's */
  | { what: 'wrong'; why: string }

export type NoteName = (note: NameNote) => void

export type UserName = {
  /** the one name that routes are kept under: local part, `@` and the key of the domain */
  user: Text
  local: Text
  /** as the client, the default domain or the alias spells it; a back end knows a domain in one of its two spellings */
  domain: Text | undefined
}

/** RFC 5321 4.5.3.1: 64 octets, the @, 255 octets. No mailbox is longer. */
export const MAX_USER_OCTETS = 320

/**
 * Letters, digits and marks of every script (RFC 6532 3.2), and of ASCII what no directory, log, path or back end reads as more than a
 * part of a name: no quote, slash, colon, space, star or percent sign. A mark at the beginning would be shown on what is before the name.
 */
const LOCAL_PART = /^(?!\p{M})[\p{L}\p{M}\p{N}._+\-=&'~#!$]+$/u
/** RFC 5891 4.2.3: no hyphen at either end, no mark at the beginning. */
const LABEL = /^[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?$/u
const MAX_DOMAIN_OCTETS = 255

export function isLocalPart(text: string): boolean {
  return LOCAL_PART.test(text)
}

/**
 * @returns the domain in lower case as it is spelled, and its key: the one spelling of it that is compared, with U-labels in the place of
 * A-labels (RFC 5890 2.3.2.1). Undefined for what is no domain.
 */
export function readDomain(text: Text): { key: Text; spelled: Text } | undefined {
  const spelled = text.toLowerCase().normalize('NFC')
  if (Buffer.byteLength(spelled) > MAX_DOMAIN_OCTETS) return undefined
  const labels: string[] = []
  for (const label of spelled.split('.')) {
    const known = readLabel(label)
    if (known === undefined) return undefined
    labels.push(known)
  }
  return { key: labels.join('.'), spelled }
}

/** @returns the U-label of a label in either form; undefined where it is neither (RFC 5891 5.3, 5.4) */
function readLabel(label: string): string | undefined {
  if (!LABEL.test(label)) return undefined
  if (/^(?!xn--)[\x00-\x7f]*$/.test(label)) return label
  const ascii = domainToASCII(label)
  if (!ascii.startsWith('xn--')) return undefined
  const unicode = domainToUnicode(ascii)
  // A U-label of letters that lower case changes (Cherokee) could not be found again by itself.
  const isStable = unicode.toLowerCase().normalize('NFC') === unicode && domainToASCII(unicode) === ascii
  if (/^[\x00-\x7f]*$/.test(unicode) || !LABEL.test(unicode) || !isStable) return undefined
  return label === ascii || label === unicode ? unicode : undefined
}

/**
 * Adds the default domain, puts an alias's own domain in its place, folds what two spellings of one name may differ in, and refuses
 * every character that some directory, log or back end might read as more than a part of a name.
 * @param note hears how it is read
 * @returns undefined where it can be no user's name
 */
export function readUser(
  text: Text,
  { userCase, defaultDomain, delimiters, aliases }: NameRules,
  note?: NoteName,
): UserName | undefined {
  // NFC: the same name typed on two keyboards is one key.
  const name = text.normalize('NFC')
  if (Buffer.byteLength(name) > MAX_USER_OCTETS) return refuse(TOO_LONG, note)
  const at = findDelimiter(name, delimiters)
  if (at !== -1) note?.({ what: 'delimiter', delimiter: name.charAt(at) })
  const written = at === -1 ? name : name.slice(0, at)
  // Some letters are longer in lower case, and some compose anew.
  const local = userCase === 'lower' ? written.toLowerCase().normalize('NFC') : written
  if (!isLocalPart(local))
    return refuse('it is empty before the domain, or has a character that no name may have', note)
  const typed = at === -1 ? defaultDomain : name.slice(at + 1)
  if (typed === undefined) return { user: local, local, domain: undefined }
  if (at === -1) note?.({ what: 'default-domain', domain: typed })
  const domain = readDomain(typed)
  if (!domain) return refuse('its domain is empty, or has a character that no domain may have', note)
  const alias = aliases.get(domain.key)
  if (alias !== undefined) note?.({ what: 'alias', from: domain.key, to: alias })
  const own = alias === undefined ? domain : readDomain(alias)
  if (!own) return refuse('its domain is an alias of what is no domain', note)
  const user = `${local}@${own.key}`
  if (Buffer.byteLength(user) > MAX_USER_OCTETS) return refuse(TOO_LONG, note)
  return { user, local, domain: own.spelled }
}

const TOO_LONG = `it is longer than ${MAX_USER_OCTETS} octets`

/** In one expression: notes the reason, and is the name of no user. */
function refuse(why: string, note: NoteName | undefined): UserName | undefined {
  note?.({ what: 'wrong', why })
  return undefined
}

/** The last `@` wins: what else parts user from domain may stand inside a local part (`alice+news@example.test`). */
function findDelimiter(name: string, delimiters: string): number {
  const at = name.lastIndexOf('@')
  if (at !== -1) return at
  return Math.max(...Array.from(delimiters, (delimiter) => name.lastIndexOf(delimiter)))
}

/** How names are read that come from no listener: a route, a file of routes. */
export const PLAIN_RULES: NameRules = {
  userCase: 'keep',
  defaultDomain: undefined,
  delimiters: '@',
  aliases: new Map(),
}

/** Whether a name may be sent to a back end in place of the user's: the same characters, and no more. */
export function canBeLogin(name: Text): boolean {
  return readUser(name, PLAIN_RULES) !== undefined
}
