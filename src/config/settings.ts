/**
 * The configuration as the program uses it: checked, defaults filled in, units in the names.
 * `load.ts` makes it from the two YAML files; nothing else does, and nothing changes it afterwards.
 */
import type { Secret } from '../secret.ts'

export type ProtocolName = 'imap' | 'pop3'

/** `0.0.0.0` or `::` for every address of a family. `optional` is set where a bare port stood for both families: a machine without that family does not fail. */
export type ListenAddress = { host: string; port: number; optional: boolean }

export type ListenerSettings = {
  name: string
  protocol: ProtocolName
  listen: ListenAddress[]
  tls: 'none' | 'starttls' | 'implicit'
  /** the template, with its placeholders still in it */
  banner: string
  allowPlaintextAuth: boolean
  defaultDomain: string | undefined
}

/** One certificate chain and its private key, as PEM text read at load time. */
export type CertificateSettings = { certFile: string; cert: string; keyFile: string; key: Secret }

export type BackendSettings = {
  name: string
  host: string
  /** the port of each protocol that this back end serves */
  ports: Partial<Record<ProtocolName, number>>
  tls: 'none' | 'starttls' | 'implicit'
  /** the name that the certificate must carry; undefined: `host` */
  tlsName: string | undefined
  /** PEM text of the CAs to trust in place of the system's */
  ca: string | undefined
  verify: 'name' | 'none'
}

export type UserRoute = { backend: string; login: string | undefined }

export type RoutingSettings = {
  backends: ReadonlyMap<string, BackendSettings>
  users: ReadonlyMap<string, UserRoute>
  /** domain (lower case) to back end */
  domains: ReadonlyMap<string, { backend: string }>
}

export type DirectorySettings = { kind: 'static' } | { kind: 'redis'; url: Secret; prefix: string; timeoutMs: number }

export type LimitSettings = {
  /** a command line before login, without literals */
  maxLineBytes: number
  /** from the greeting, or from the last refused attempt, to the next login */
  loginTimeoutMs: number
  maxBadCommands: number
  /** from the login command to the back end's answer: dial, TLS, greeting and replay together */
  backendTimeoutMs: number
  /** without a byte either way once relaying */
  idleMs: Record<ProtocolName, number>
  /** how long SIGTERM waits for sessions that are busy */
  shutdownGraceMs: number
}

export type Settings = {
  /** absolute paths of the files that it was read from */
  files: { main: string; routing: string | undefined }
  hostname: string
  listeners: ListenerSettings[]
  tls: { certificates: CertificateSettings[]; minVersion: 'TLSv1.2' | 'TLSv1.3' }
  directory: DirectorySettings
  routing: RoutingSettings
  limits: LimitSettings
  /** `token` is what the API asks for; without one `host` is a loopback address */
  admin: { host: string; port: number; token?: Secret | undefined } | undefined
  log: { level: 'debug' | 'info' | 'warn' | 'error'; format: 'json' | 'pretty' }
}
