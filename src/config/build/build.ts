/**
 * The last step of loading: files without an error become `Settings`, with defaults filled in and units in the names.
 * Over 250 lines: it has one short function for each part of the settings, in the order of `settings.ts`; larger parts have files of their own.
 */
import os from 'node:os'
import type { z } from 'zod'
import { eachProtocol, isCapabilityProtocol, PROTOCOL_NAMES } from '../../protocol/registry.ts'
import { hostPort } from '../../net/address.ts'
import { buildClientLimits } from './client-limits.ts'
import { buildDelivery } from './delivery.ts'
import { buildLimits } from './limits.ts'
import { buildRedis } from './redis.ts'
import type { AdminFiles } from '../check/admin-files.ts'
import type { BackendFiles } from '../check/backend.ts'
import type { RoutingFiles, RoutingFindings } from '../check/routing.ts'
import { findPool, servedProtocols } from '../check/placement-pool.ts'
import { mainSchema, routingSchema } from '../schema/schema.ts'
import type {
  BackendLimits,
  BackendSettings,
  DirectorySettings,
  ListenerSettings,
  MechanismName,
  PlacementPool,
  PlacementSettings,
  ProtocolName,
  RoutingSettings,
  ServerNameRule,
  Settings,
  UserRoute,
} from '../settings.ts'
import { encodeSecret } from '../../secret.ts'
import { toPlain } from '../yaml/source.ts'
import { countWorkers, keyOfDomain, type Parsed } from '../schema/values.ts'
import { parseServerPattern, parseLocalName } from '../schema/wire-values.ts'
import type { YamlNode } from '../yaml/nodes.ts'
import type { RoutingDraft } from '../check/drafts.ts'
import { listenAddresses } from '../check/addresses.ts'
import type { MainFiles } from '../check/main-files.ts'

type Main = z.output<typeof mainSchema>
type Routing = Omit<z.output<typeof routingSchema>, 'users'>

/** What was read and found without error. */
export type Found = {
  main: YamlNode
  routing: YamlNode
  /** of the users, by the keys as they are written */
  routes: NonNullable<NonNullable<RoutingDraft['value']>['users']>
  paths: { main: string; routing: string }
  mainFiles: MainFiles
  found: RoutingFindings
}

/** @throws ZodError where `schema/read.ts` found nothing wrong but the schema does: a defect of ours */
export function buildSettings({
  main: mainNode,
  routing: routingNode,
  routes,
  paths,
  mainFiles,
  found,
}: Found): Settings {
  // The schema as a whole is asked once more: it is the promise, and it alone gives the full type.
  const main = mainSchema.parse(toPlain(mainNode))
  // Not the users: each has been held against its own schema, and a million of them would take seconds more.
  const routing = routingSchema.omit({ users: true }).parse(toPlain(withoutUsers(routingNode)))
  return {
    files: paths,
    hostname: main.hostname ?? os.hostname(),
    workers: countWorkers(main.workers),
    privileges: main.user === undefined ? undefined : { user: main.user, group: main.group },
    listeners: main.listeners.map((listener, index) => ({
      ...buildListener(listener, mainFiles.clientCas.get(index)),
      limits: buildClientLimits(
        { limits: listener.limits, files: mainFiles.access.listeners.get(index) },
        { limits: main.limits, files: mainFiles.access.defaults },
      ),
      mechanisms: listener.mechanisms ?? (main.directory.auth_http?.send_password ? WITH_PROOF : undefined),
    })),
    tls: {
      certificates: mainFiles.certificates,
      minVersion: main.tls.min_version,
      ticketSecret: mainFiles.ticketSecret,
    },
    directory: buildDirectory(main.directory, mainFiles),
    routing: {
      ...buildRouting(routing, found.files, servedProtocols(main.listeners)),
      userCase: main.user_case,
      users: buildUsers(routes, found.users),
    },
    followRoutes: main.follow_routes,
    limits: buildLimits(main.limits),
    admin: main.admin && buildAdmin(main.admin, mainFiles.admin, main.hostname),
    delivery: main.delivery && buildDelivery(main.delivery),
    reload: main.reload === 'auto' ? { kind: 'auto', settleMs: main.settle } : { kind: 'signal' },
    log: { level: main.log.level, format: main.log.format, file: mainFiles.logFile },
  }
}

function buildAdmin(
  { listen: { host, port }, hosts }: NonNullable<Main['admin']>,
  files: AdminFiles,
  hostname = os.hostname(),
): NonNullable<Settings['admin']> {
  return { host, port, ...files, hosts: [hostname, ...hosts].map((name) => name.toLowerCase()) }
}

/** Mechanisms that a directory that checks passwords can check. The others give it no password, and clients prefer them where they are offered. */
const WITH_PROOF: readonly MechanismName[] = ['PLAIN', 'LOGIN', 'EXTERNAL']

function buildListener(
  listener: Main['listeners'][number],
  clientCa: string | undefined,
): Omit<ListenerSettings, 'mechanisms' | 'limits'> {
  const localNames = Object.entries(listener.default_domains)
  return {
    name: listener.name,
    protocol: listener.protocol,
    listen: listenAddresses(listener) ?? [],
    tls: listener.tls,
    banner: listener.banner,
    allowPlaintextAuth: listener.allow_plaintext_auth,
    capability: isCapabilityProtocol(listener.protocol) ? listener[`${listener.protocol}_capability`] : undefined,
    minVersion: listener.min_version,
    ciphers: listener.ciphers,
    clientCa,
    clientUser: listener.client_cert_user,
    passthrough: buildRules(listener.passthrough),
    proxyProtocol: listener.proxy_protocol,
    trustedProxies: listener.trusted_proxies,
    defaultDomain: listener.default_domain,
    defaultDomains: new Map(localNames.map(([name, domain]) => [folded(parseLocalName, name), domain])),
    delimiters: listener.delimiters,
    masterSeparator: listener.master_separator,
  }
}

/** In the order in which they are to be tried: exact names, wildcards, `*`. Two wildcards never fit one name. */
function buildRules(passthrough: Record<string, string>): ServerNameRule[] {
  const rank = ({ name }: ServerNameRule): number => (name === '*' ? 2 : name.startsWith('*.') ? 1 : 0)
  return Object.entries(passthrough)
    .map(([pattern, backend]) => ({ name: folded(parseServerPattern, pattern), backend }))
    .sort((a, b) => rank(a) - rank(b))
}

/** A key in its one spelling; the checks have seen that it has one. */
function folded(parse: (key: string) => Parsed<string>, key: string): string {
  const parsed = parse(key)
  return 'value' in parsed ? parsed.value : key
}

function buildDirectory({ redis, auth_http: authHttp }: Main['directory'], files: MainFiles): DirectorySettings {
  if (redis !== undefined) return buildRedis(redis, files.redis)
  if (authHttp === undefined) return { kind: 'static' }
  return {
    kind: 'auth_http',
    url: new URL(authHttp.url),
    timeoutMs: authHttp.timeout,
    sendPassword: authHttp.send_password,
    sendClientCertificate: authHttp.send_client_certificate,
    ...files.authHttp,
  }
}

function buildBackend(name: string, backend: Routing['backends'][string], files: BackendFiles): BackendSettings {
  const { host = [], srv, health, tls, tls_name: tlsName, verify, master } = backend
  const { ca, clientCertificate, masterSecret: secret, testSecret } = files
  return {
    name,
    hosts: typeof host === 'string' ? [host] : host,
    srv: typeof srv === 'string' ? servicesOf(srv, tls) : srv && withoutHoles(srv),
    ports: withoutHoles(backend),
    lmtp: backend.lmtp,
    health: {
      check: health.check,
      intervalMs: health.interval,
      timeoutMs: health.timeout,
      rise: health.rise,
      fall: health.fall,
      testUser:
        health.user === undefined || !testSecret ? undefined : { user: health.user, secret: encodeSecret(testSecret) },
    },
    tls,
    tlsName,
    ca,
    verify,
    pins: backend.pin_sha256,
    clientCertificate,
    proxyProtocol: backend.proxy_protocol,
    forwardIdentity: backend.forward_identity,
    loginFormat: backend.login_format,
    weight: backend.weight,
    tags: backend.tags,
    master: master && secret && { user: master.user, secret: encodeSecret(secret), separator: master.separator },
    limits: buildBackendLimits(backend.limits),
    slowStartMs: backend.slow_start,
    state: backend.state,
  }
}

/** A share of 1 would have a household log in one by one. */
const LEAST_FOR_ADDRESS = 4

function buildBackendLimits(limits: Routing['backends'][string]['limits']): BackendLimits {
  const { sessions, logins, logins_per_second: loginsPerSecond, queue_timeout: waitMs, queue_size: queue } = limits
  return { sessions, logins, loginsPerSecond, waitMs, queue, leastForAddress: LEAST_FOR_ADDRESS }
}

/** RFC 6186 3.2, 3.3: what a domain calls its mail services, by whether they begin with TLS. */
function servicesOf(domain: string, tls: BackendSettings['tls']): BackendSettings['srv'] {
  const kind = tls === 'implicit' ? 'implicit' : 'plain'
  return withoutHoles(
    eachProtocol(({ srvNames }) => (srvNames === undefined ? undefined : `${srvNames[kind]}._tcp.${domain}`)),
  )
}

/** What is written for each protocol, without those for which nothing is. */
function withoutHoles<T>(written: Partial<Record<ProtocolName, T | undefined>>): Partial<Record<ProtocolName, T>> {
  const found = PROTOCOL_NAMES.flatMap((name) => (written[name] === undefined ? [] : [[name, written[name]]]))
  return Object.fromEntries(found) as Partial<Record<ProtocolName, T>>
}

const NO_FILES: BackendFiles = {
  ca: undefined,
  clientCertificate: undefined,
  masterSecret: undefined,
  testSecret: undefined,
}

function buildRouting(
  routing: Routing,
  files: RoutingFiles,
  protocols: ReadonlySet<ProtocolName>,
): Omit<RoutingSettings, 'userCase' | 'users'> {
  const backends = new Map(
    Object.entries(routing.backends).map(
      ([name, backend]) => [name, buildBackend(name, backend, files.get(name) ?? NO_FILES)] as const,
    ),
  )
  const domains = Object.entries(routing.domains).map(
    ([domain, entry]) => [keyOfDomain(domain), typeof entry === 'string' ? { backend: entry } : entry] as const,
  )
  const aliases = Object.entries(routing.domain_aliases).map(([alias, domain]) => [keyOfDomain(alias), domain] as const)
  return {
    backends,
    domains: new Map(
      domains.flatMap(([domain, { backend }]) => (backend === undefined ? [] : [[domain, { backend }]])),
    ),
    placement: buildPlacement(routing.placement, domains, [...backends.values()], protocols),
    aliases: new Map(aliases),
    resolvers: routing.resolvers.map(({ host, port }) => hostPort(host, port)),
  }
}

/** @param keys the key of each user, by the normalised name: the check has read every name already */
function buildUsers(routes: Found['routes'], keys: ReadonlyMap<string, string>): RoutingSettings['users'] {
  const built = new Map<string, UserRoute>()
  // Most users have the route of many others.
  const shared = new Map<string, UserRoute>()
  for (const [user, key] of keys) {
    const route = routes[key]
    const [backend, login] = typeof route === 'string' ? [route] : [route?.backend, route?.login]
    if (backend === undefined) continue // an error, with which nothing is built
    const own = (login === undefined && shared.get(backend)) || { backend, login }
    if (login === undefined) shared.set(backend, own)
    built.set(user, own)
  }
  return built
}

function withoutUsers(node: YamlNode): YamlNode {
  if (node.kind !== 'map') return node
  return { ...node, entries: new Map([...node.entries].filter(([name]) => name !== 'users')) }
}

type DomainEntry = {
  backend?: string | undefined
  placement?: 'none' | 'hash' | undefined
  tags?: readonly string[]
}

function buildPlacement(
  others: 'none' | 'hash',
  domains: readonly (readonly [domain: string, entry: DomainEntry])[],
  backends: readonly BackendSettings[],
  protocols: ReadonlySet<ProtocolName>,
): PlacementSettings {
  const pool = (placement: 'none' | 'hash', tags: readonly string[]): PlacementPool | undefined =>
    placement === 'none' ? undefined : findPool(backends, tags, protocols, ({ ports }) => ports).chosen
  return {
    domains: new Map(
      domains.flatMap(([domain, { placement, tags = [] }]) =>
        placement === undefined ? [] : [[domain, pool(placement, tags)]],
      ),
    ),
    others: pool(others, []),
  }
}
