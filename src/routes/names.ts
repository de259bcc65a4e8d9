/** How a name of a user is read that an operator writes: as it is in the directory, by the rules of the routing file. */
import type { RoutingSettings } from '../config/settings.ts'
import { readUser, type NameRules } from '../user-name.ts'

export function nameRules({ userCase, aliases }: Pick<RoutingSettings, 'userCase' | 'aliases'>): NameRules {
  return { userCase, aliases, defaultDomain: undefined, delimiters: '@', masterSeparator: undefined }
}

/** @returns the name of the route, or why there can be none of this name */
export function readRouteName(typed: string, rules: NameRules): { user: string } | { wrong: string } {
  const read = readUser(typed, rules)
  if (read) return { user: read.user }
  let wrong = ''
  readUser(typed, rules, (note) => {
    if (note.what === 'wrong') wrong = note.why
  })
  return { wrong: `no name of a user: ${wrong}` }
}
