/**
 * User to back end, and why. Static users win, then the directory, then the domain's route; there is no default:
 * a user sent to the wrong store finds an empty mailbox, and a client that believes it deletes its copy.
 */
import type { BackendSettings, RoutingSettings } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { Directory, DirectoryEntry } from './directory.ts'
import { domainOf, normaliseUser } from './identity.ts'
import { findStaticUser } from './static-directory.ts'

export type RouteSource = 'static' | 'directory' | 'domain'

export type Route =
  | { kind: 'backend'; user: string; backend: BackendSettings; login: string; source: RouteSource }
  | { kind: 'hold' | 'disabled'; user: string; source: RouteSource }
  /** nobody knows the user, or what was given cannot be a user's name */
  | { kind: 'unknown'; user: string | undefined }

export type Router = {
  /**
   * @param name as the client gave it, latin1
   * @throws MuxError `directory-unavailable`, `route-invalid`
   */
  byUser(name: string, defaultDomain: string | undefined): Promise<Route>
}

/** @param directory undefined where the routing file is all there is */
export function createRouter(routing: RoutingSettings, directory: Directory | undefined): Router {
  function toRoute(user: string, entry: DirectoryEntry, source: RouteSource): Route {
    if (entry.status !== 'active') return { kind: entry.status, user, source }
    const backend = routing.backends.get(entry.backend)
    // Whoever can write to the directory must not be able to have passwords sent to a host of his own (CVE-2022-27924).
    if (!backend) {
      throw new MuxError(
        'route-invalid',
        `the route names a back end that the routing file does not: ${JSON.stringify(entry.backend.slice(0, 80))}`,
      )
    }
    const login = entry.login ?? user
    if (normaliseUser(Buffer.from(login).toString('latin1'), undefined) === undefined) {
      throw new MuxError('route-invalid', 'the login name of the route holds characters that no name may have')
    }
    return { kind: 'backend', user, backend, login, source }
  }

  return {
    async byUser(name, defaultDomain) {
      const user = normaliseUser(name, defaultDomain)
      if (user === undefined) return { kind: 'unknown', user }
      const fixed = findStaticUser(routing, user)
      if (fixed) return toRoute(user, fixed, 'static')
      const found = await directory?.lookup(user)
      if (found) return toRoute(user, found, 'directory')
      const domain = routing.domains.get(domainOf(user) ?? '')
      if (domain) return toRoute(user, { backend: domain.backend, login: undefined, status: 'active' }, 'domain')
      return { kind: 'unknown', user }
    },
  }
}
