/** From the name that a client sends to the key of its route, and from there to the name at the back end. Pure. */
import { decodeUtf8, type Octets } from '../octets.ts'
import { MAX_USER_OCTETS, readUser, type NameRules, type NoteName, type UserName } from '../user-name.ts'

/**
 * @param octets the name as received
 * @param note called for each step of reading it
 * @returns undefined if it cannot be a user name
 */
export function identifyUser(octets: Octets, rules: NameRules, note?: NoteName): UserName | undefined {
  if (octets.length > MAX_USER_OCTETS) {
    note?.({ what: 'wrong', why: `it is longer than ${MAX_USER_OCTETS} octets` })
    return undefined
  }
  const name = decodeUtf8(octets)
  if (name !== undefined) return readUser(name, rules, note)
  note?.({ what: 'wrong', why: 'it is not UTF-8' })
  return undefined
}

/** `%u` the whole name (`CORP\alice` as it is typed), `%n` without its domain, `%d` the domain, `%%` a percent sign. */
export function formatLogin(template: string, { local, domain, typed }: UserName): string {
  const whole = typed ?? (domain === undefined ? local : `${local}@${domain}`)
  if (template === '%u') return whole // the default
  const values: Record<string, string> = {
    '%u': whole,
    '%n': local,
    '%d': domain ?? '',
    '%%': '%',
  }
  return template.replace(/%[und%]/g, (placeholder) => values[placeholder] ?? '')
}

/** The domain in the key of a route. */
export function domainOf(user: string): string | undefined {
  const at = user.indexOf('@')
  return at === -1 ? undefined : user.slice(at + 1)
}
