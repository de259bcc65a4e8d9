/** Everything that a connection needs to know, frozen at the moment when it was accepted. A reload builds a new one and swaps one pointer. */
import { buildBackends, type Backends } from './backend/backends.ts'
import type { Settings } from './config/settings.ts'
import { buildBanner } from './protocol/banner.ts'
import type { Directory } from './routing/directory.ts'
import { createRouter, type Router } from './routing/router.ts'
import { buildCertificates, type Certificates } from './tls/certificates.ts'
import { protocols } from './protocol/protocols.ts'

export type World = {
  settings: Settings
  certificates: Certificates | undefined
  backends: Backends
  router: Router
  /** the greeting's text of each listener, by its name */
  banners: ReadonlyMap<string, (now: Date) => string>
}

export const PRODUCT = 'mailmux'

/** @param directory undefined where the routing file is all there is; outlives this world */
export function buildWorld(settings: Settings, directory: Directory | undefined, version: string): World {
  return Object.freeze({
    settings,
    certificates: buildCertificates(settings.tls),
    backends: buildBackends(settings.routing.backends),
    router: createRouter(settings.routing, directory),
    banners: new Map(
      settings.listeners.map(({ name, protocol, banner }) => [
        name,
        buildBanner(banner, {
          hostname: settings.hostname,
          protocol: protocols[protocol].bannerName,
          product: PRODUCT,
          version,
        }),
      ]),
    ),
  })
}
