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
  /** characters that part user from domain; `@` always does; before a backslash the domain comes first (`DOMAIN\user`) */
  delimiters: string
  /** what stands between the owner of a mailbox and the master user who logs in for that owner; no character of a name */
  masterSeparator: string | undefined
  /** domain that means another; by its key */
  aliases: ReadonlyMap<string, string>
}

/** One thing that was found in a name, for an explanation of how it was read. */
export type NameNote =
  | { what: 'delimiter'; delimiter: string }
  | { what: 'default-domain'; domain: string }
  | { what: 'alias'; from: string; to: string }
  | { what: 'master'; master: string }
  /** why it is no user's */
  | { what: 'wrong'; why: string }

export type NoteName = (note: NameNote) => void

export type UserName = {
  /** the one name that routes are kept under: local part, `@` and the key of the domain */
  user: Text
  local: Text
  /** as the client, the default domain or the alias spells it; a back end knows a domain in one of its two spellings */
  domain: Text | undefined
  /** the name in the form in which it is sent on, where that is not `local@domain`: `DOMAIN\user`, `user domain` */
  typed?: Text
  /** the master separator and the name of the master user: the back end gets it behind the name of the mailbox and checks it */
  master?: Text
}

/** Delimiters that are sent on as they are: in place of them an `@` would make a name that such a back end does not have. */
const KEPT_DELIMITERS = '\\ '

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
/** Nearly every domain: itself its key and its spelling. */
const PLAIN_LABEL = '(?!xn--)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?'
const PLAIN_DOMAIN = new RegExp(String.raw`^${PLAIN_LABEL}(?:\.${PLAIN_LABEL})*$`, 'u')
/** Nearly every name: ASCII, in lower case, with a plain domain. Of all rules only an alias changes it: no separator is among these characters. */
const PLAIN_USER = new RegExp(String.raw`^[a-z0-9._+\-=&'~#!$]+@${PLAIN_LABEL}(?:\.${PLAIN_LABEL})*$`)

export function isLocalPart(text: string): boolean {
  return LOCAL_PART.test(text)
}

/**
 * @returns the domain in lower case as it is spelled, and its key: the one spelling of it that is compared, with U-labels in the place of
 * A-labels (RFC 5890 2.3.2.1). Undefined for what is no domain.
 */
export function readDomain(text: Text): { key: Text; spelled: Text } | undefined {
  if (text.length <= MAX_DOMAIN_OCTETS && PLAIN_DOMAIN.test(text)) return { key: text, spelled: text }
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
 * @param note called for each step of the reading
 * @returns undefined where it can be no user's name
 */
export function readUser(text: Text, rules: NameRules, note?: NoteName): UserName | undefined {
  const plain = note === undefined ? readPlainUser(text, rules) : undefined
  if (plain) return plain
  // NFC: the same name typed on two keyboards is one key.
  const whole = text.normalize('NFC')
  if (Buffer.byteLength(whole) > MAX_USER_OCTETS) return refuse(TOO_LONG, note)
  const cut = rules.masterSeparator === undefined ? -1 : whole.indexOf(rules.masterSeparator)
  if (cut === -1) return readOwner(whole, rules, note)
  // Servers differ in which of two separators counts, and so in whose mailbox they open.
  const master = whole.slice(cut + 1)
  if (!canBeLogin(master))
    return refuse(`what stands behind the "${whole.charAt(cut)}" is no name of a master user`, note)
  note?.({ what: 'master', master })
  const owner = readOwner(whole.slice(0, cut), rules, note)
  return owner && { ...owner, master: whole.slice(cut) }
}

/** The result of the full reading, in less than half of its time. @returns undefined for a name that needs the full reading */
function readPlainUser(text: Text, { aliases }: NameRules): UserName | undefined {
  if (text.length > MAX_USER_OCTETS || !PLAIN_USER.test(text)) return undefined
  const at = text.indexOf('@')
  const domain = text.slice(at + 1)
  if (domain.length > MAX_DOMAIN_OCTETS || aliases.has(domain)) return undefined
  return { user: text, local: text.slice(0, at), domain }
}

/** Reads a name without a master user, in NFC. */
function readOwner(name: string, rules: NameRules, note: NoteName | undefined): UserName | undefined {
  const { userCase, defaultDomain, delimiters, aliases } = rules
  const at = findDelimiter(name, delimiters)
  const delimiter = name.charAt(at)
  if (at !== -1) note?.({ what: 'delimiter', delimiter })
  const isDomainFirst = delimiter === '\\'
  const [before, behind] = at === -1 ? [name, undefined] : [name.slice(0, at), name.slice(at + 1)]
  const written = isDomainFirst ? (behind ?? '') : before
  // Some letters are longer in lower case, and some compose anew.
  const local = userCase === 'lower' ? written.toLowerCase().normalize('NFC') : written
  if (!isLocalPart(local)) return refuse(whyNoLocalPart(local, rules), note)
  const given = isDomainFirst ? before : (behind ?? defaultDomain)
  if (given === undefined) return { user: local, local, domain: undefined }
  if (at === -1) note?.({ what: 'default-domain', domain: given })
  const domain = readDomain(given)
  if (!domain) return refuse('its domain is empty, or has a character that no domain may have', note)
  const alias = aliases.get(domain.key)
  if (alias !== undefined) note?.({ what: 'alias', from: domain.key, to: alias })
  const own = alias === undefined ? domain : readDomain(alias)
  if (!own) return refuse('its domain is an alias of what is no domain', note)
  // Most names are spelled as they are looked up: the same string needs no copy and no second hash.
  const isAsWritten = delimiter === '@' && local === before && own.key === behind
  const user = isAsWritten ? name : `${local}@${own.key}`
  if (Buffer.byteLength(user) > MAX_USER_OCTETS) return refuse(TOO_LONG, note)
  const read = { user, local, domain: own.spelled }
  if (at === -1 || !KEPT_DELIMITERS.includes(delimiter)) return read
  return { ...read, typed: isDomainFirst ? `${given}\\${local}` : `${local} ${given}` }
}

/** The forms of names that other servers take and that a setting may allow each have a reason of their own. */
function whyNoLocalPart(local: string, { delimiters, masterSeparator }: NameRules): string {
  if (local === '') return 'it is empty before the domain'
  for (const [character, what] of [
    ['\\', 'backslash'],
    [' ', 'space'],
  ] as const) {
    if (!local.includes(character)) continue
    if (delimiters.includes(character))
      return `it has a second ${what} or another delimiter, so that its domain is unclear`
    return `it has a ${what}, which no name may have and which is not among the delimiters of the listener`
  }
  if (local.includes('*')) {
    const why =
      masterSeparator === undefined
        ? 'the listener has no master_separator'
        : `the listener's master_separator is "${masterSeparator}"`
    return `it has a "*", which no name may have, and ${why}`
  }
  return 'it has a character that no name may have'
}

const TOO_LONG = `it is longer than ${MAX_USER_OCTETS} octets`

/** Notes the reason. @returns the name of no user */
function refuse(why: string, note: NoteName | undefined): UserName | undefined {
  note?.({ what: 'wrong', why })
  return undefined
}

/** The last `@` wins, and the first backslash: what else parts user from domain may stand inside a local part (`alice+news@example.test`). */
function findDelimiter(name: string, delimiters: string): number {
  const at = name.lastIndexOf('@')
  if (at !== -1) return at
  return Math.max(...Array.from(delimiters, (one) => (one === '\\' ? name.indexOf(one) : name.lastIndexOf(one))))
}

/** How names are read that come from no listener: a route, a file of routes. */
export const PLAIN_RULES: NameRules = {
  userCase: 'keep',
  defaultDomain: undefined,
  delimiters: '@',
  masterSeparator: undefined,
  aliases: new Map(),
}

/** Whether a name may be sent to a back end in place of the user's: the same characters, and no more. */
export function canBeLogin(name: Text): boolean {
  return readUser(name, PLAIN_RULES) !== undefined
}
