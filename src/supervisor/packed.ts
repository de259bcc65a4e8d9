/**
 * The form in which settings and secrets pass between the supervisor and another process of mailmux. The channel clones plain data, Maps
 * and Sets, but turns a Secret or a URL into an empty object. So these are converted here, and a table of users is sent before them in
 * pieces (`table-pieces.ts`). A secret is revealed only on the channel, which is a socket between the two processes. It is in no argument
 * and no environment variable, which other processes could read.
 */
import { UserTable } from '../config/build/user-table.ts'
import { Secret } from '../secret.ts'

declare const packed: unique symbol

/** Plain data that `unpack` converts back to a T. */
export type Packed<T> = { readonly [packed]: T }

const SECRET = 'mailmux:secret'
const URL_TEXT = 'mailmux:url'
const USERS = 'mailmux:users'

/** @param value plain data, Maps, Sets, Secrets, URLs and at most one table of users. An object that occurs twice is one object in the result too */
export function pack<T>(value: T): Packed<T> {
  return convert(value, (one) => {
    if (one instanceof Secret) return { [SECRET]: (one as Secret).reveal() }
    if (one instanceof UserTable) return { [USERS]: one.size }
    return one instanceof URL ? { [URL_TEXT]: one.href } : undefined
  }) as Packed<T>
}

/** @param users the table of users that was sent before, if the value contains one */
export function unpack<T>(value: Packed<T>, users?: UserTable): T {
  return convert(value, (one) => {
    if (SECRET in one && typeof one[SECRET] === 'string') return new Secret(one[SECRET])
    if (USERS in one) return expectTable(users, one[USERS])
    return URL_TEXT in one && typeof one[URL_TEXT] === 'string' ? new URL(one[URL_TEXT]) : undefined
  }) as T
}

function expectTable(users: UserTable | undefined, size: unknown): UserTable {
  if (users !== undefined && users.size === size) return users
  throw new Error('the users have not arrived before the settings')
}

/** A deep copy. Objects for which `replace` returns another object are replaced by it. */
function convert(whole: unknown, replace: (one: object) => object | undefined): unknown {
  const made = new Map<object, unknown>()
  const walk = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    if (made.has(value)) return made.get(value)
    const copy = replace(value) ?? copyOf(value)
    made.set(value, copy)
    return copy
  }
  const copyOf = (value: object): unknown => {
    if (Array.isArray(value)) return value.map(walk)
    if (value instanceof Map) return new Map([...value].map(([key, one]: [unknown, unknown]) => [key, walk(one)]))
    if (value instanceof Set) return new Set([...value].map(walk))
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, walk(one)]))
  }
  return walk(whole)
}
