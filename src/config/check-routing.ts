/** What the keys of routing.yaml say to each other, and to the listeners of mailmux.yaml. */
import net from 'node:net'
import { arrivesAt } from './addresses.ts'
import { createFileReader, type FileReader } from './check-files.ts'
import { listenAddresses, type MainDraft } from './check-main.ts'
import { readCertificates } from './pem.ts'
import { didYouMean, type Problems } from './problems.ts'
import { createReporter, type Draft, type Path, type Reporter } from './read.ts'
import { PROTOCOLS, type routingSchema } from './schema.ts'
import { isWritten, type Source } from './source.ts'
import { normalizeUser, parseDomain, parseName, type Parsed } from './values.ts'

export type RoutingDraft = Draft<typeof routingSchema>
type Routing = NonNullable<RoutingDraft['value']>
type Backend = NonNullable<NonNullable<Routing['backends']>[string]>

/** PEM text of the CAs, by back end. */
export type RoutingFiles = Map<string, string>

export function checkRouting(
  draft: RoutingDraft,
  main: MainDraft,
  directory: string,
  files: Set<string>,
  problems: Problems,
): RoutingFiles {
  const cas: RoutingFiles = new Map()
  const { value: routing } = draft
  if (routing === undefined) return cas
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
    checkTls(draft.source, backend, path, report)
    checkLoop(backend, path, main, report)
    const ca = readCa(backend, path, readFile, report)
    if (ca !== undefined) cas.set(name, ca)
  }
  checkUsers(routing, main, report)
  checkDomains(routing, report)
  checkServed(routing, main, createReporter(main, problems))
  checkReachable(routing, main, report)
  return cas
}

function checkTls(source: Source, backend: Backend, path: Path, report: Reporter): void {
  const { host, tls, verify } = backend
  if (!PROTOCOLS.some((protocol) => isWritten(source, [...path, protocol]))) {
    report.error(path, 'serves nothing: it needs a port, imap or pop3', 'key')
  }
  if (tls === 'none') {
    for (const key of ['tls_name', 'ca_file', 'verify']) {
      if (isWritten(source, [...path, key])) report.error([...path, key], `${key} does nothing with tls: none`, 'key')
    }
  } else if (tls !== undefined && verify === 'none') {
    report.warn([...path, 'verify'], 'whoever can divert the connection to this back end reads its passwords')
    if (isWritten(source, [...path, 'ca_file'])) {
      report.error([...path, 'ca_file'], 'ca_file does nothing with verify: none', 'key')
    }
  } else if (tls !== undefined && verify === 'name' && host !== undefined && net.isIP(host) !== 0) {
    if (isWritten(source, [...path, 'tls_name'])) return
    report.error(
      [...path, 'host'],
      'TLS verifies a name: add tls_name, the name in the certificate (or `verify: none`)',
    )
  }
}

/** A back end that is ourselves would fill the machine with connections to itself at the first login. */
function checkLoop(backend: Backend, path: Path, main: MainDraft, report: Reporter): void {
  const { host } = backend
  if (host === undefined) return
  for (const listener of main.value?.listeners ?? []) {
    for (const address of (listener && listenAddresses(listener)) ?? []) {
      for (const protocol of PROTOCOLS) {
        if (backend[protocol] !== address.port || !arrivesAt(host, address.host)) continue
        report.error(
          [...path, protocol],
          `routes to itself: listener "${listener?.name ?? ''}" has this address and port`,
        )
      }
    }
  }
}

function readCa(backend: Backend, path: Path, readFile: FileReader, report: Reporter): string | undefined {
  if (backend.ca_file === undefined) return undefined
  return readFile(backend.ca_file, readCertificates, [...path, 'ca_file'], report)?.pem
}

function checkUsers(routing: Routing, main: MainDraft, report: Reporter): void {
  const listeners = main.value?.listeners
  // A listener about which something is unclear might be the one that lets bare names in.
  const bareNamesArrive =
    listeners === undefined || listeners.some((listener) => listener?.default_domain === undefined)
  const parse = (key: string): Parsed<string> => {
    const parsed = normalizeUser(key)
    if ('wrong' in parsed) return parsed
    if (!parsed.value.hasDomain && !bareNamesArrive) {
      return { wrong: 'never matches: every listener appends its default_domain; write the domain here too' }
    }
    return { value: parsed.value.user }
  }
  checkRoutes(routing, 'users', parse, report)
}

function checkDomains(routing: Routing, report: Reporter): void {
  checkRoutes(routing, 'domains', parseDomain, report)
}

function checkRoutes(
  routing: Routing,
  section: 'users' | 'domains',
  parse: (key: string) => Parsed<string>,
  report: Reporter,
): void {
  const known = routing.backends
  const spellings = new Map<string, string>()
  for (const [key, route] of Object.entries(routing[section] ?? {})) {
    const path: Path = [section, key]
    const parsed = parse(key)
    if ('wrong' in parsed) report.error(path, parsed.wrong, 'key')
    else {
      const other = spellings.get(parsed.value)
      if (other !== undefined) report.error(path, `the same as "${other}": domains ignore case`, 'key')
      else spellings.set(parsed.value, key)
    }
    const backend = typeof route === 'string' ? route : route?.backend
    if (backend === undefined || known === undefined || Object.hasOwn(known, backend)) continue
    const at = typeof route === 'string' ? path : [...path, 'backend']
    report.error(at, `unknown back end "${backend}"${didYouMean(backend, Object.keys(known))}`)
  }
}

function checkServed(routing: Routing, main: MainDraft, report: Reporter): void {
  const backends = Object.values(routing.backends ?? {})
  // A back end that is not understood may be the one that serves it.
  if (backends.length === 0 || backends.includes(undefined)) return
  main.value?.listeners?.forEach((listener, index) => {
    const protocol = listener?.protocol
    if (protocol === undefined || backends.some((backend) => backend?.[protocol] !== undefined)) return
    report.warn(['listeners', index, 'protocol'], `no back end has a port for ${protocol}: nobody can log in here`)
  })
}

function checkReachable(routing: Routing, main: MainDraft, report: Reporter): void {
  const { users, domains } = routing
  if (main.value?.directory === undefined || main.value.directory.redis !== undefined) return
  if (users === undefined || domains === undefined) return
  if (Object.keys(users).length + Object.keys(domains).length > 0) return
  report.warn(['backends'], 'no users, no domains, and no directory but this file: every login is refused', 'key')
}
