/** The last step of loading: files without an error become `Settings`, with defaults filled in and units in the names. */
import os from 'node:os'
import type { z } from 'zod'
import { Secret } from '../secret.ts'
import type { MainFiles } from './check-files.ts'
import { listenAddresses } from './check-main.ts'
import type { RoutingFiles } from './check-routing.ts'
import { mainSchema, routingSchema } from './schema.ts'
import type {
  BackendSettings,
  DirectorySettings,
  LimitSettings,
  ListenerSettings,
  RoutingSettings,
  Settings,
} from './settings.ts'
import { toPlain, type YamlNode } from './source.ts'
import { normalizeUser } from './values.ts'

type Main = z.output<typeof mainSchema>
type Routing = z.output<typeof routingSchema>

/** What was read and found without error. */
export type Found = {
  main: YamlNode
  routing: YamlNode
  paths: { main: string; routing: string }
  mainFiles: MainFiles
  cas: RoutingFiles
}

/** @throws ZodError where `read.ts` found nothing wrong but the schema does: a defect of ours */
export function buildSettings({ main: mainNode, routing: routingNode, paths, mainFiles, cas }: Found): Settings {
  // The schema as a whole is asked once more: it is the promise, and it alone gives the full type.
  const main = mainSchema.parse(toPlain(mainNode))
  const routing = routingSchema.parse(toPlain(routingNode))
  return {
    files: paths,
    hostname: main.hostname ?? os.hostname(),
    listeners: main.listeners.map(buildListener),
    tls: { certificates: mainFiles.certificates, minVersion: main.tls.min_version },
    directory: buildDirectory(main.directory, mainFiles.redisPassword),
    routing: buildRouting(routing, cas),
    limits: buildLimits(main.limits),
    admin: main.admin && { host: main.admin.listen.host, port: main.admin.listen.port, token: mainFiles.token },
    log: main.log,
  }
}

function buildListener(listener: Main['listeners'][number]): ListenerSettings {
  return {
    name: listener.name,
    protocol: listener.protocol,
    listen: listenAddresses(listener) ?? [],
    tls: listener.tls,
    banner: listener.banner,
    allowPlaintextAuth: listener.allow_plaintext_auth,
    defaultDomain: listener.default_domain,
  }
}

function buildDirectory({ redis }: Main['directory'], password: Secret | undefined): DirectorySettings {
  if (redis === undefined) return { kind: 'static' }
  const url = new URL(redis.url)
  // The setter leaves "%" alone, which a client would then decode.
  if (password !== undefined) url.password = encodeURIComponent(password.reveal())
  return { kind: 'redis', url: new Secret(url.href), prefix: redis.prefix, timeoutMs: redis.timeout }
}

function buildRouting(routing: Routing, cas: RoutingFiles): RoutingSettings {
  const backends = Object.entries(routing.backends).map(([name, backend]): [string, BackendSettings] => {
    const { host, tls, tls_name: tlsName, verify, imap, pop3 } = backend
    const ports = { ...(imap !== undefined && { imap }), ...(pop3 !== undefined && { pop3 }) }
    return [name, { name, host, ports, tls, tlsName, ca: cas.get(name), verify }]
  })
  const users = Object.entries(routing.users).map(([key, route]) => {
    const parsed = normalizeUser(key)
    const user = 'value' in parsed ? parsed.value.user : key
    return [
      user,
      typeof route === 'string' ? { backend: route, login: undefined } : { login: undefined, ...route },
    ] as const
  })
  const domains = Object.entries(routing.domains).map(
    ([domain, route]) => [domain.toLowerCase(), typeof route === 'string' ? { backend: route } : route] as const,
  )
  return { backends: new Map(backends), users: new Map(users), domains: new Map(domains) }
}

function buildLimits(limits: Main['limits']): LimitSettings {
  return {
    maxLineBytes: limits.max_line,
    loginTimeoutMs: limits.login_timeout,
    maxBadCommands: limits.max_bad_commands,
    backendTimeoutMs: limits.backend_timeout,
    idleMs: { imap: limits.idle_imap, pop3: limits.idle_pop3 },
    shutdownGraceMs: limits.shutdown_grace,
  }
}
