/**
 * Rules between the keys of routing.yaml, and between them and the listeners of mailmux.yaml.
 * Over 250 lines: it has one short function for each rule; rules with files of their own are called from here.
 */
import type { Listener, MainDraft, RoutingDraft, Routing } from './drafts.ts'
import { isAddress } from '../../net/address.ts'
import { checkAuthHttpBackends } from './auth-http.ts'
import { checkDeliveryPorts } from './delivery.ts'
import { checkBackend, readBackendFiles, type BackendFiles } from './backend.ts'
import { createFileReader } from './files.ts'
import { checkPassthroughBackends } from './passthrough.ts'
import { checkPlacement } from './placement.ts'
import { serves } from './endpoints.ts'
import type { ReadFiles } from '../read-files.ts'
import { checkRules } from './rules.ts'
import { routingSchema } from '../schema/schema.ts'
import { didYouMean, type Problems } from '../yaml/problems.ts'
import { createReporter, type Path, type Reporter } from '../schema/read.ts'
import { keyOfDomain, normalizeUser, parseDomain, parseName, type Parsed } from '../schema/values.ts'

/** What was read for each back end, by its name. */
export type RoutingFiles = Map<string, BackendFiles>

export type RoutingFindings = {
  files: RoutingFiles
  /** the users by their normalised names: the key of each, as it is written */
  users: ReadonlyMap<string, string>
}

export function checkRouting(
  draft: RoutingDraft,
  main: MainDraft,
  directory: string,
  files: Pick<ReadFiles, 'add'>,
  now: Date,
  problems: Problems,
): RoutingFindings {
  const read: RoutingFiles = new Map()
  const { value: routing } = draft
  if (routing === undefined) return { files: read, users: new Map() }
  const report = createReporter(draft, problems)
  const readFile = createFileReader(directory, files)
  const backends = Object.entries(routing.backends ?? {})
  if (routing.backends !== undefined && backends.length === 0)
    report.error(['backends'], 'at least one back end is needed')
  for (const [name, backend] of backends) {
    const path: Path = ['backends', name]
    const parsed = parseName(name)
    if ('wrong' in parsed) report.error(path, parsed.wrong, 'key')
    if (backend === undefined) continue
    const place = { source: draft.source, path, report }
    checkBackend(backend, main, place)
    read.set(name, readBackendFiles(backend, readFile, now, place))
  }
  checkRules(routingSchema, draft, report)
  const names = backends.map(([name]) => name)
  const suggested = new Map<string, string>() // one mistyped name may stand in thousands of lines
  const suggest: Suggest = (name) => {
    const known = suggested.get(name)
    if (known !== undefined || suggested.size >= MOST_SUGGESTIONS) return known ?? ''
    const suggestion = didYouMean(name, names)
    suggested.set(name, suggestion)
    return suggestion
  }
  const users = checkUsers(routing, main, suggest, report)
  checkDomains(routing, main, suggest, report)
  checkAuthHttpBackends(draft, main, report)
  checkAliases(routing, report)
  checkPlacement(draft, main, report)
  const inMain = createReporter(main, problems)
  checkPassthroughBackends(main, draft, inMain)
  checkServed(draft, main, inMain)
  checkDeliveryPorts(draft, main, report)
  checkResolvers(routing, report)
  checkReachable(routing, main, report)
  return { files: read, users }
}

/** A comparison with each of 2,000 back ends takes 30 ms. */
const MOST_SUGGESTIONS = 20

/** Looks for a similar name of a back end. */
type Suggest = (name: string) => string

/** @returns the users by their normalised names: the key of each, as it is written */
function checkUsers(routing: Routing, main: MainDraft, suggest: Suggest, report: Reporter): Map<string, string> {
  const asking = loginListeners(main)
  // A listener about which something is unclear might be the one that lets bare names in.
  const bareNamesArrive = asking.length === 0 || asking.some((listener) => listener?.default_domain === undefined)
  const aliases = foldedAliases(routing)
  const userCase = main.value?.user_case ?? 'keep'
  const parse = (key: string): Parsed<string> => {
    const parsed = normalizeUser(key, userCase)
    if ('wrong' in parsed) return parsed
    const { user, domain } = parsed.value
    if (domain === undefined && !bareNamesArrive) {
      return { wrong: 'never matches: every listener appends its default_domain; write the domain here too' }
    }
    const meant = domain === undefined ? undefined : aliases.get(domain)
    if (meant !== undefined)
      return { wrong: `never matches: ${domain ?? ''} is an alias of ${meant}; write ${meant} here` }
    return { value: user }
  }
  const users = checkRoutes(routing, 'users', parse, suggest, report, userCase === 'lower')
  if (userCase === 'keep') warnOfCapitals(routing, report)
  return users
}

/** One warning for all of them; of two users that differ in case alone, both are meant. */
function warnOfCapitals({ users = {} }: Routing, report: Reporter): void {
  const first = Object.keys(users).find((key) => /^[^@]*\p{Lu}/u.test(key) && !Object.hasOwn(users, key.toLowerCase()))
  if (first === undefined) return
  const why =
    'matches in this case of letters alone: user_case: lower in mailmux.yaml ignores the case, as Dovecot does by default'
  report.warn(['users', first], why, 'key')
}

function checkDomains(routing: Routing, main: MainDraft, suggest: Suggest, report: Reporter): void {
  checkRoutes(routing, 'domains', parseKey, suggest, report)
  if (main.value?.directory?.auth_http !== undefined && Object.keys(routing.domains ?? {}).length > 0) {
    report.error(['domains'], 'does nothing: directory.auth_http is asked first, and its no is final', 'key')
  }
}

/** The aliases by their keys; the domain that one stands for is unknown where it has a mistake of its own. */
function foldedAliases(routing: Routing): Map<string, string | undefined> {
  return new Map(Object.entries(routing.domain_aliases ?? {}).map(([alias, domain]) => [keyOfDomain(alias), domain]))
}

function parseKey(text: string): Parsed<string> {
  const domain = parseDomain(text)
  return 'wrong' in domain ? domain : { value: keyOfDomain(text) }
}

/** An alias must not name another alias, so there are no chains and no rings. */
function checkAliases(routing: Routing, report: Reporter): void {
  const aliases = foldedAliases(routing)
  const domains = new Set(Object.keys(routing.domains ?? {}).map(keyOfDomain))
  const spellings = new Map<string, string>()
  for (const [key, domain] of Object.entries(routing.domain_aliases ?? {})) {
    const path: Path = ['domain_aliases', key]
    const parsed = parseKey(key)
    if ('wrong' in parsed) {
      report.error(path, parsed.wrong, 'key')
      continue
    }
    const alias = parsed.value
    const other = spellings.get(alias)
    if (other !== undefined) report.error(path, `the same as "${other}": ${SAME_DOMAIN}`, 'key')
    spellings.set(alias, key)
    const meant = domain === undefined ? undefined : keyOfDomain(domain)
    if (meant === alias) report.error(path, 'stands for itself')
    else if (domain !== undefined && meant !== undefined && aliases.has(meant)) {
      report.error(path, `${domain} is an alias too; name the domain that it stands for`)
    }
    if (domains.has(alias)) {
      report.error(path, 'has a route in `domains`, which would never be used: its users are those of the other', 'key')
    }
  }
}

/** The listeners where users log in, and those about which that is not known. */
function loginListeners(main: MainDraft): (Listener | undefined)[] {
  return main.value?.listeners?.filter((listener) => listener?.tls !== 'passthrough') ?? []
}

/** Why two names of a domain are one. */
const SAME_DOMAIN = 'domains ignore case, and an A-label (xn--) is the same as its U-label'

/** @returns the keys of the section as they are written, by what `parse` makes of them */
function checkRoutes(
  routing: Routing,
  section: 'users' | 'domains',
  parse: (key: string) => Parsed<string>,
  suggest: Suggest,
  report: Reporter,
  ignoresCase = false,
): Map<string, string> {
  const known = routing.backends
  const same = ignoresCase ? `user_case: lower, and ${SAME_DOMAIN}` : SAME_DOMAIN
  const spellings = new Map<string, string>()
  const routes: Record<string, string | { backend?: string | undefined } | undefined> = routing[section] ?? {}
  for (const [key, route] of Object.entries(routes)) {
    const path: Path = [section, key]
    const parsed = parse(key)
    if ('wrong' in parsed) report.error(path, parsed.wrong, 'key')
    else {
      const other = spellings.get(parsed.value)
      if (other !== undefined) report.error(path, `the same as "${other}": ${same}`, 'key')
      else spellings.set(parsed.value, key)
    }
    const backend = typeof route === 'string' ? route : route?.backend
    if (backend === undefined || known === undefined || Object.hasOwn(known, backend)) continue
    const at = typeof route === 'string' ? path : [...path, 'backend']
    report.error(at, `unknown back end "${backend}"${suggest(backend)}`)
  }
  return spellings
}

function checkServed({ source, value: routing }: RoutingDraft, main: MainDraft, report: Reporter): void {
  const backends = Object.entries(routing?.backends ?? {})
  // A back end that is not understood may be the one that serves it.
  if (backends.length === 0 || backends.some(([, one]) => one === undefined)) return
  /** once for each protocol, at its first listener */
  const warned = new Set<string>()
  main.value?.listeners?.forEach((listener, index) => {
    const protocol = listener?.protocol
    // What is passed through names its back ends, and they are held against it already.
    if (protocol === undefined || listener?.tls === 'passthrough') return
    const serving = backends.filter(([name]) => serves(source, ['backends', name], protocol))
    const separator = listener?.master_separator
    const other = serving.find(([, one]) => (one?.master?.separator ?? separator) !== separator)
    if (separator !== undefined && other !== undefined) {
      const why = `back end ${other[0]} has another: its master.separator is "${other[1]?.master?.separator ?? ''}"`
      report.warn(['listeners', index, 'master_separator'], why)
    }
    if (listener?.client_cert_user !== undefined && !serving.some(([, one]) => one?.master)) {
      const why = `no back end for ${protocol} has a master user: no client can log in with a certificate`
      report.warn(['listeners', index, 'client_cert_user'], why)
    }
    const at: Path = ['listeners', index, 'protocol']
    if (serving.length === 0) report.warn(at, `no back end has a port for ${protocol}: no client can log in here`)
    else if (serving.length < backends.length && !warned.has(protocol)) {
      warned.add(protocol)
      const others = backends.filter((one) => !serving.includes(one)).map(([name]) => name)
      report.warn(
        at,
        `no port for ${protocol} at ${listNames(others)}: users there are refused with a temporary failure`,
      )
    }
  })
}

/** A name server that has to be looked up first could only be found by what it is to replace. */
function checkResolvers(routing: Routing, report: Reporter): void {
  routing.resolvers?.forEach((resolver, index) => {
    if (resolver !== undefined && !isAddress(resolver.host))
      report.error(['resolvers', index], 'a name server is given by its address: write it as 127.0.0.1:53')
  })
}

function checkReachable(routing: Routing, main: MainDraft, report: Reporter): void {
  const { users, domains, placement } = routing
  if (placement === 'hash' || loginListeners(main).length === 0) return
  const directory = main.value?.directory
  if (directory === undefined || directory.redis !== undefined || directory.auth_http !== undefined) return
  if (users === undefined || domains === undefined) return
  if (Object.keys(users).length + Object.keys(domains).length > 0) return
  report.warn(['backends'], 'no users, no domains, and no directory but this file: every login is refused', 'key')
}

/** Three names are enough to see which are meant. */
function listNames(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ')
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown
}
