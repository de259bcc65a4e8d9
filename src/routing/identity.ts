/** From what a client calls itself to the one name that routes are kept under. Pure. */
import { decodeUtf8, encodeUtf8, type Octets, type Text } from '../octets.ts'
import { isDomain, isLocalPart, MAX_USER_OCTETS } from '../user-name.ts'

/** How a listener and the routing file want names to be read. */
export type NameRules = {
  defaultDomain: string | undefined
  /** characters that part user from domain; `@` always does */
  delimiters: string
  /** domain that means another, in lower case */
  aliases: ReadonlyMap<string, string>
}

/** One thing that was found in a name, for whoever asks how it was read. */
export type NameNote =
  | { what: 'delimiter'; delimiter: string }
  | { what: 'default-domain'; domain: string }
  | { what: 'alias'; from: string; to: string }
  /** why it cannot be anybody's */
  | { what: 'wrong'; why: string }

export type NoteName = (note: NameNote) => void

/**
 * Adds the default domain, folds the domain's case and puts an alias's own name in its place, and refuses every character that some
 * directory, log or back end might read as more than a part of a name. The local part's case is the back end's business.
 * @param octets the name as it came
 * @param note hears how it is read
 * @returns the name with `@`, or undefined where it cannot be anybody's
 */
export function normaliseUser(
  octets: Octets,
  { defaultDomain, delimiters, aliases }: NameRules,
  note?: NoteName,
): Text | undefined {
  if (octets.length > MAX_USER_OCTETS) return refuse(TOO_LONG, note)
  // NFC: the same name typed on two keyboards is one key.
  const name = decodeUtf8(octets)?.normalize('NFC')
  if (name === undefined) return refuse('it is not UTF-8', note)
  const at = findDelimiter(name, delimiters)
  if (at !== -1) note?.({ what: 'delimiter', delimiter: name.charAt(at) })
  const local = at === -1 ? name : name.slice(0, at)
  const domain = at === -1 ? defaultDomain : name.slice(at + 1)
  if (!isLocalPart(local))
    return refuse('it is empty before the domain, or has a character that no name may have', note)
  if (domain === undefined) return local
  if (at === -1) note?.({ what: 'default-domain', domain })
  const folded = domain.toLowerCase() // before it is looked at: some letters fold into what no name may have
  if (!isDomain(folded)) return refuse('its domain is empty, or has a character that no domain may have', note)
  const alias = aliases.get(folded)
  if (alias !== undefined) note?.({ what: 'alias', from: folded, to: alias })
  const user = `${local}@${alias ?? folded}`
  return Buffer.byteLength(user) > MAX_USER_OCTETS ? refuse(TOO_LONG, note) : user
}

const TOO_LONG = `it is longer than ${MAX_USER_OCTETS} octets`

/** In one expression: notes it, and is the name that nobody has. */
function refuse(why: string, note: NoteName | undefined): Text | undefined {
  note?.({ what: 'wrong', why })
  return undefined
}

/** The last `@` wins: what else parts user from domain may stand inside a local part (`alice+news@example.test`). */
function findDelimiter(name: string, delimiters: string): number {
  const at = name.lastIndexOf('@')
  if (at !== -1) return at
  return Math.max(...Array.from(delimiters, (delimiter) => name.lastIndexOf(delimiter)))
}

/** Whether a name that the directory gives may be sent to a back end: the same characters, and no more. */
export function canBeLogin(name: Text): boolean {
  const rules = { defaultDomain: undefined, delimiters: '@', aliases: new Map<string, string>() }
  return normaliseUser(encodeUtf8(name), rules) !== undefined
}

/** `%u` the whole name, `%n` without its domain, `%d` the domain, `%%` a percent sign. */
export function formatLogin(template: string, user: string): string {
  const values: Record<string, string> = {
    '%u': user,
    '%n': user.split('@')[0] ?? user,
    '%d': domainOf(user) ?? '',
    '%%': '%',
  }
  return template === '%u' ? user : template.replace(/%[und%]/g, (placeholder) => values[placeholder] ?? '')
}

/** The domain of a normalised name. */
export function domainOf(user: string): string | undefined {
  const at = user.indexOf('@')
  return at === -1 ? undefined : user.slice(at + 1)
}
