/** The next step after an explanation that ends with a refusal, for the operator: which command or which setting. Pure. */
import type { RouteAnswer, LoginTestAnswer } from '../admin/answers.ts'
import { causeOf } from './causes.ts'

/** What the configuration files of this machine say; undefined where they cannot be read. */
export type KnownRoutes = { domains: Iterable<string>; hasRedis: boolean } | undefined

/** @returns undefined where nothing is to be done, or nothing is known to do */
export function nextStep(answer: RouteAnswer & { trial?: LoginTestAnswer }, known: KnownRoutes): string | undefined {
  const { usable, refusal, trial, name, otherWorkers = [] } = answer
  const user = name?.user
  if (usable) {
    if (trial && !trial.accepted) return afterLogin(trial)
    const other = otherWorkers.find((one) => !one.usable)
    return other && forCode(other.refusal?.code, user)
  }
  switch (refusal?.reason) {
    case 'authentication-failed':
      return isWithoutRoute(answer)
        ? forUnknown(answer, known)
        : 'read the log of the auth server, which refuses this user'
    case 'disabled':
      return `mailmux route set ${quoted(user)} --status active`
    default:
      return forBackend(answer) ?? forCode(refusal?.code, user)
  }
}

/** An auth server answers for each user, so that the domain is never asked. */
export function isWithoutRoute({ name, steps, refusal }: RouteAnswer): boolean {
  if (refusal?.reason !== 'authentication-failed') return false
  if (steps.some(({ asked, outcome }) => asked === 'directory' && outcome === 'found')) return false
  const domain = domainOf(name?.user)
  return domain === undefined || steps.some(({ asked, outcome }) => asked === 'domains' && outcome === 'nothing')
}

function forUnknown({ name }: RouteAnswer, known: KnownRoutes): string {
  const user = name?.user
  if (user === undefined)
    return 'correct the name, or the settings of the listener for names: the line "user" has the reason'
  const inFile = 'a line under `users` of the routing file'
  const route = known?.hasRedis === false ? inFile : `mailmux route set ${quoted(user)} BACKEND`
  const domain = domainOf(user)
  if (domain === undefined)
    return `give the name with its domain, or set \`default_domain\` of the listener; a route for the name as it is: ${route}`
  const similar = similarDomains(domain, known?.domains ?? [])
  if (similar.length > 0) return `is the domain mistyped? ${domain} has no route; similar: ${similar.join(', ')}`
  const forAll = `for all users of the domain: a line for ${domain} under \`domains\` of the routing file`
  return `${route}${known?.hasRedis === undefined ? ` with Redis, else ${inFile}` : ''}; ${forAll}`
}

/** The state of a back end that an operator has set, or the error of its first address. */
function forBackend({ backend, refusal }: RouteAnswer): string | undefined {
  if (!backend) return undefined
  const { name, state, stateFrom, addresses } = backend
  if (state !== 'up')
    return stateFrom === 'routing' ? `set \`state: up\` of ${name} in the routing file` : `mailmux backend up ${name}`
  const isOfAddress = refusal?.code === 'backend-down' || refusal?.code === undefined
  const error = addresses.find((one) => one.state !== 'up' && one.lastError !== undefined)?.lastError
  return isOfAddress && error !== undefined ? causeOf(error).next : undefined
}

function forCode(code: string | undefined, user: string | undefined): string | undefined {
  if (code === undefined) return undefined
  if (code === 'client-no-such-name')
    return 'add the server name, or `*`, to `passthrough` of the listener; --sni names another server name'
  return causeOf(code).next.replaceAll('USER', quoted(user))
}

function afterLogin({ reason, code, backend }: LoginTestAnswer): string | undefined {
  if (code !== undefined) return forCode(code, undefined)
  if (reason === 'authentication-failed')
    return `the way is open: set the password of the user at ${backend ?? 'the back end'}, or give the right one`
  return undefined
}

function domainOf(user: string | undefined): string | undefined {
  const at = user?.lastIndexOf('@') ?? -1
  return at < 0 ? undefined : user?.slice(at + 1)
}

/** For a shell. */
function quoted(user: string | undefined): string {
  if (user === undefined) return 'USER'
  return /^[\w@.+%-]+$/u.test(user) && !user.startsWith('-') ? user : `'${user.replaceAll("'", "'\\''")}'`
}

/** Names on the line. */
const MOST_SIMILAR = 3
/** Two mistyped characters. With three, short domains would all be similar. */
const MOST_EDITS = 2

function similarDomains(domain: string, known: Iterable<string>): string[] {
  const found: { one: string; edits: number }[] = []
  for (const one of new Set(known)) {
    if (one === domain || Math.abs(one.length - domain.length) > MOST_EDITS) continue
    const edits = editsBetween(domain, one)
    if (edits <= MOST_EDITS && edits * 3 < domain.length) found.push({ one, edits })
  }
  return found
    .sort((a, b) => a.edits - b.edits || (a.one < b.one ? -1 : 1))
    .slice(0, MOST_SIMILAR)
    .map(({ one }) => one)
}

/** The Levenshtein distance: insertions, deletions and replacements. */
function editsBetween(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (before[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    before = row
  }
  return before[b.length] ?? 0
}
