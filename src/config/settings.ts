/**
 * The configuration as the program uses it: checked, defaults filled in, units in the names. Only `load.ts` makes it, from the two YAML
 * files, and it is never changed: a worker gets a copy with its share of the limits. Over 250 lines: all types of the settings are in
 * one file, because every module imports them from here.
 */
import type { AdminSettings } from './admin-settings.ts'
import type { ClientLimitSettings, LimitSettings } from './limit-settings.ts'
import type { Octets } from '../octets.ts'
import type { ProtocolName } from '../protocol/registry.ts'
import type { Secret } from '../secret.ts'
import type { UserCase } from '../user-name.ts'

export type { AdminSettings, AdminToken, Right } from './admin-settings.ts'
export type { AccessSettings, ClientLimitSettings, LimitSettings, PenaltySettings, Rate } from './limit-settings.ts'
export type { ProtocolName } from '../protocol/registry.ts'

/** `0.0.0.0` or `::` for every address of a family. `optional` is set where a bare port stood for both families: a machine without that family does not fail. */
export type ListenAddress = { host: string; port: number; optional: boolean }

/** Where to connect to. */
export type Endpoint = { host: string; port: number }

/** SASL mechanisms that mailmux knows how to carry to a back end, in the order in which they are offered. */
export const MECHANISMS = [
  'PLAIN',
  'LOGIN',
  'XOAUTH2',
  'OAUTHBEARER',
  'SCRAM-SHA-256',
  'SCRAM-SHA-1',
  'EXTERNAL',
] as const

export type MechanismName = (typeof MECHANISMS)[number]

/** A server name as a client asks for it: exact, `*.example.org` for one label more, or `*` for every other and for none. Lower case. */
export type ServerNameRule = { name: string; backend: string }

export type ListenerSettings = {
  name: string
  protocol: ProtocolName
  listen: ListenAddress[]
  tls: 'none' | 'starttls' | 'implicit' | 'passthrough'
  /** the template, with its placeholders still in it */
  banner: string
  allowPlaintextAuth: boolean
  /** offered at most; which of them are depends on the back ends and on TLS. undefined: all */
  mechanisms: readonly MechanismName[] | undefined
  /** announced before login in place of what is computed from the back ends; undefined: computed */
  capability: string | undefined
  /** over the one of `tls` for all listeners */
  minVersion: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** OpenSSL's cipher list for TLS 1.2; undefined: those with AEAD and forward secrecy */
  ciphers: string | undefined
  /** PEM text of the CAs whose client certificates are accepted; undefined: none is asked for */
  clientCa: string | undefined
  /** the user of a client certificate: `%{cn}`, `%{email}` and text around them; undefined: no EXTERNAL */
  clientUser: string | undefined
  /** names whose TLS is carried to a back end unopened; with `tls: implicit` the other names are terminated here */
  passthrough: readonly ServerNameRule[]
  proxyProtocol: 'off' | 'required'
  /** CIDRs that may connect where a PROXY header is required */
  trustedProxies: readonly string[]
  defaultDomain: string | undefined
  /** over `defaultDomain`: by the local address or by the server name (lower case) that the client asked for */
  defaultDomains: ReadonlyMap<string, string>
  /** characters that part user from domain in what clients send; `@` always does */
  delimiters: string
  /** between the owner of a mailbox and the master user in what clients send; undefined: no name has a master user */
  masterSeparator: string | undefined
  limits: ClientLimitSettings
}

/** One certificate chain and its private key, as PEM text read at load time. */
export type CertificateSettings = { certFile: string; cert: string; keyFile: string; key: Secret }

/** What a back end is asked at most, by all workers together or, in the settings of one, by that one. undefined: no limit. */
export type BackendLimits = {
  /** logins and sessions together */
  sessions: number | undefined
  /** under way at once */
  logins: number
  loginsPerSecond: number | undefined
  /** how long a login waits for its turn, and how many may */
  waitMs: number
  queue: number
  /** of `logins` and of `queue`, what one client address has at least */
  leastForAddress: number
}

/**
 * The state that an operator gives a back end. `up`: it takes logins. `drain`: no new session begins there and no new user is placed
 * there. `pause`: logins wait. `down`: no login reaches it.
 */
export const BACKEND_STATES = ['up', 'drain', 'pause', 'down'] as const

export type BackendState = (typeof BACKEND_STATES)[number]

/** How it is found out whether an address of a back end works. */
export type HealthSettings = {
  check: 'tcp' | 'tls' | 'greeting' | 'login' | 'none'
  intervalMs: number
  timeoutMs: number
  /** checks in a row that make it up again */
  rise: number
  /** failures in a row, of checks or logins, that make it down */
  fall: number
  /** who logs in where `check` is `login` */
  testUser: { user: string; secret: Secret<Octets> } | undefined
}

export type BackendSettings = {
  name: string
  /** names or addresses, in order of preference; empty where `srv` says where it is */
  hosts: readonly string[]
  /** the name of the SRV records of each protocol that it serves; undefined: `hosts` and `ports` */
  srv: Partial<Record<ProtocolName, string>> | undefined
  /** the port of each protocol that this back end serves; with `srv` the records have it */
  ports: Partial<Record<ProtocolName, number>>
  /** where its mail is delivered, for `delivery` */
  lmtp: number | undefined
  health: HealthSettings
  tls: 'none' | 'starttls' | 'implicit'
  /** the name that the certificate must carry; undefined: that of `hosts` which is dialled */
  tlsName: string | undefined
  /** PEM text of the CAs to trust in place of the system's */
  ca: string | undefined
  verify: 'name' | 'none'
  /** SHA-256 of certificates (DER), upper-case hex without colons; empty: not pinned. A pinned certificate needs no CA. */
  pins: readonly string[]
  /** shown where the back end asks for one */
  clientCertificate: CertificateSettings | undefined
  proxyProtocol: 'none' | 'v1' | 'v2'
  /** tell the back end who the client is, by the command of the protocol (ID, XCLIENT), where it offers that */
  forwardIdentity: boolean
  /** the name used at the back end: `%u` user@domain, `%n` user, `%d` domain */
  loginFormat: string
  /** its share of new users; 0 takes none */
  weight: number
  /** which domains' new users it takes */
  tags: readonly string[]
  /** who may log in for others there, for users who have shown a certificate; `separator` undefined: by authzid, else user*master */
  master: { user: string; secret: Secret<Octets>; separator: string | undefined } | undefined
  limits: BackendLimits
  /** after it was down, how long until it gets logins at its full rate; 0: it does at once */
  slowStartMs: number
  /** holds unless the directory has a state of this back end */
  state: BackendState
}

export type UserRoute = { backend: string; login: string | undefined }

/** Which back ends the new users of a domain may be placed on, whether or not these are up; never empty. */
export type PlacementPool = readonly BackendSettings[]

/** Where users without a route are placed; undefined: nowhere, they are refused. */
export type PlacementSettings = {
  /** domain (lower case) to its own rule */
  domains: ReadonlyMap<string, PlacementPool | undefined>
  /** for users of domains without a rule */
  others: PlacementPool | undefined
}

/** The static users by their names: a Map, or a table that other threads can hand over. */
export type UserRoutes = {
  readonly size: number
  get(user: string): UserRoute | undefined
  has(user: string): boolean
  keys(): Iterable<string>
  [Symbol.iterator](): Iterator<[string, UserRoute]>
}

export type RoutingSettings = {
  userCase: UserCase
  backends: ReadonlyMap<string, BackendSettings>
  users: UserRoutes
  /** key of a domain to back end */
  domains: ReadonlyMap<string, { backend: string }>
  placement: PlacementSettings
  /** key of a domain to the domain that it means, as it is spelled */
  aliases: ReadonlyMap<string, string>
  /** name servers, `127.0.0.1:53` or `[::1]:53`, in place of the system's way of finding addresses; empty: that */
  resolvers: readonly string[]
}

/** How long routes from the directory are remembered, and how many. */
export type RouteCacheSettings = {
  maxEntries: number
  /** a known route is asked for again after this, whether or not a change was told */
  lifetimeMs: number
  /** the same for an unknown user */
  negativeLifetimeMs: number
  /** how long a known route stands in while the directory cannot be asked */
  maxStaleMs: number
}

/** Which Redis to ask: one, the master that Sentinels name, or a Cluster that some of its nodes tell of. */
export type RedisServers =
  | { kind: 'single'; server: Endpoint; database: number }
  | {
      kind: 'sentinels'
      /** of the master, as the Sentinels know it */
      name: string
      addresses: readonly Endpoint[]
      /** what the Sentinels themselves ask for */
      username: string | undefined
      password: Secret | undefined
    }
  | { kind: 'cluster'; nodes: readonly Endpoint[] }

export type RedisTlsSettings = {
  /** PEM text of the CAs to trust in place of the system's */
  ca: string | undefined
  /** shown where Redis asks for one */
  clientCertificate: CertificateSettings | undefined
  /** the name that the certificate must carry; undefined: the host that is connected to */
  serverName: string | undefined
}

export type RedisSettings = {
  kind: 'redis'
  servers: RedisServers
  username: string | undefined
  password: Secret | undefined
  /** undefined: in clear */
  tls: RedisTlsSettings | undefined
  /** before the name of every key */
  prefix: string
  timeoutMs: number
  cache: RouteCacheSettings
  /** where known routes are kept for the next start; absolute */
  snapshotFile: string | undefined
  /** which of several workers this is, from 1: each writes a file of its own */
  snapshotSlot: number
}

/** An HTTP server that speaks nginx's auth_http. */
export type AuthHttpSettings = {
  kind: 'auth_http'
  url: URL
  timeoutMs: number
  /** sent with each question, over and above the contract's own */
  headers: ReadonlyMap<string, Secret>
  /** PEM text of the CAs to trust in place of the system's */
  ca: string | undefined
  sendPassword: boolean
  sendClientCertificate: boolean
}

export type DirectorySettings = { kind: 'static' } | RedisSettings | AuthHttpSettings

export type DeliverySettings = {
  listen: ListenAddress
  /** CIDRs that may ask; empty where `listen` is a loopback address and every client of this machine may */
  clients: readonly string[]
  /** characters that begin an address extension */
  recipientDelimiter: string
}

export type Settings = {
  /** absolute paths of the files that it was read from */
  files: { main: string; routing: string | undefined }
  hostname: string
  /** how many; 1: all in one process */
  workers: number
  listeners: ListenerSettings[]
  /** `ticketSecret`: what instances that share it derive their session ticket keys from; undefined: of this process alone */
  tls: { certificates: CertificateSettings[]; minVersion: 'TLSv1.2' | 'TLSv1.3'; ticketSecret: Secret | undefined }
  directory: DirectorySettings
  /** who root becomes; undefined: mailmux stays who it is. `group` undefined: that of the user */
  privileges: { user: string; group: string | undefined } | undefined
  routing: RoutingSettings
  /** running sessions follow a change of their user's route */
  followRoutes: boolean
  limits: LimitSettings
  admin: AdminSettings | undefined
  /** a socketmap for Postfix; undefined: off */
  delivery: DeliverySettings | undefined
  /** whether changed files are noticed, and for how long one that is written in place has to rest; else on SIGHUP alone */
  reload: { kind: 'auto'; settleMs: number } | { kind: 'signal' }
  /** `file` is an absolute path; undefined: standard output */
  log: { level: 'debug' | 'info' | 'warn' | 'error'; format: 'json' | 'pretty'; file: string | undefined }
}
