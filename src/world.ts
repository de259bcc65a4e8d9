/** Everything that a connection needs to know, frozen at the moment when it was accepted. A reload builds a new one and swaps one pointer. */
import { buildBackends, type Backends } from './backend/backends.ts'
import type { DeliverySettings, ListenerSettings, Settings } from './config/settings.ts'
import { buildListenerLimits, type ListenerLimits } from './limits/listener-limits.ts'
import { createIpSet, type IpSet } from './net/ip-set.ts'
import { buildBanner } from './protocol/banner.ts'
import { createDecoyChallenge, type DecoyChallenge } from './protocol/decoy-challenge.ts'
import { specOf } from './protocol/registry.ts'
import type { Directory } from './directory/directory.ts'
import { createRouter, type Router } from './routing/router.ts'
import { buildCertificates, type Certificates, type ServerTls } from './tls/certificates.ts'
import type { Reassigning } from './routing/new-users.ts'
import type { NoteRefusal } from './routing/refusal-notes.ts'

/** A listener as its connections see it. */
export type ListenerContext = {
  settings: ListenerSettings
  /** the greeting's text */
  banner: (now: Date) => string
  /** undefined where TLS is not terminated */
  tls: ServerTls | undefined
  trustedProxies: IpSet
  /** server-name pattern to back end */
  passthrough: ReadonlyMap<string, string>
  /** undefined where the listener has no limits on its clients */
  limits?: ListenerLimits | undefined
}

export type World = {
  settings: Settings
  certificates: Certificates
  backends: Backends
  router: Router
  listeners: ReadonlyMap<string, ListenerContext>
  /** `clients` is undefined where every client of this machine may ask */
  delivery: { clients: IpSet | undefined; recipientDelimiter: string } | undefined
  /** what a login by SCRAM is asked that no back end can be asked for */
  decoyChallenge: DecoyChallenge
}

export const PRODUCT = 'mailmux'

/** What the answers of a directory may add to a login: twice the longest `timeout` that there can be. */
const DIRECTORY_MS = 60_000

export type WorldParts = {
  settings: Settings
  /** undefined where the routing file is all there is; outlives this world */
  directory: Directory | undefined
  /** called for each login that is refused for its route; outlives this world */
  noteRefusal: NoteRefusal
  /** whether a back end can take a new user now; outlives this world too */
  isUp: (backend: string) => boolean
  /** the back ends whose users get another one, and which may take them; outlives this world too */
  reassigning?: Reassigning
  version: string
  /** for session tickets and decoys, where the settings have none */
  ticketSecret: string
  nowMs: number
}

export function buildWorld({
  settings,
  directory,
  noteRefusal,
  isUp,
  reassigning,
  version,
  ticketSecret,
  nowMs,
}: WorldParts): World {
  const secret = settings.tls.ticketSecret?.reveal() ?? ticketSecret
  const certificates = buildCertificates(settings.tls, settings.listeners, secret, nowMs)
  const contexts = settings.listeners.map((listener): ListenerContext => {
    const protocol = specOf(listener.protocol).bannerName
    return {
      settings: listener,
      banner: buildBanner(listener.banner, { hostname: settings.hostname, protocol, product: PRODUCT, version }),
      tls: certificates.serverOptions.get(listener.name),
      trustedProxies: createIpSet(listener.trustedProxies),
      passthrough: new Map(listener.passthrough.map(({ name, backend }) => [name, backend])),
      limits: buildListenerLimits(listener.limits),
    }
  })
  return Object.freeze({
    settings,
    certificates,
    backends: buildBackends(settings.routing.backends),
    router: createRouter(settings.routing, directory, noteRefusal, {
      isUp,
      ...(reassigning && { reassigning }),
      loginMs: settings.limits.backendTimeoutMs + DIRECTORY_MS,
    }),
    listeners: new Map(contexts.map((context) => [context.settings.name, context])),
    delivery: settings.delivery && buildDelivery(settings.delivery),
    decoyChallenge: createDecoyChallenge(secret),
  })
}

function buildDelivery({ clients, recipientDelimiter }: DeliverySettings): World['delivery'] {
  return { clients: clients.length === 0 ? undefined : createIpSet(clients), recipientDelimiter }
}
