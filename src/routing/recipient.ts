/** The names by which the recipient of a mail may be known. Pure. */
import type { UserName } from '../user-name.ts'
import { placedName } from './new-users.ts'

/**
 * The whole name, then the name without its address extension, then both in lower case: senders write either case, and a user has one
 * mailbox. The first that has a route counts.
 * @param delimiters characters that begin an extension, anywhere but at the beginning of the local part, as in Postfix
 */
export function recipientNames(name: UserName, delimiters: string): UserName[] {
  const { user, local } = name
  const cut = Array.from(local).findIndex((letter, index) => index > 0 && delimiters.includes(letter))
  const base = cut === -1 ? local : Array.from(local).slice(0, cut).join('')
  const names = [name, { ...name, local: base, user: base + user.slice(local.length) }]
  const all = [...names, ...names.map((one) => ({ ...one, local: placedName(one.local), user: placedName(one.user) }))]
  return all.filter((one, index) => all.findIndex((other) => other.user === one.user) === index)
}
