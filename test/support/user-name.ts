/** Names for tests that begin behind the reading of names. */
import { PLAIN_RULES, readUser, type NameRules, type UserName } from '../../src/user-name.ts'

/** The name of a user as `identify` would give it; for what is no name, that text. */
export function named(user: string): UserName {
  return readUser(user, PLAIN_RULES) ?? { user, local: user, domain: undefined }
}

/** How a client's name is read, by rules that differ from those of a routing file in what is given. */
export function rulesWith(changes: Partial<NameRules>): NameRules {
  return { ...PLAIN_RULES, ...changes }
}
