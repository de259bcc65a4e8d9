/**
 * User to back end, and why. Static users win, then the directory, then the domain's route, or its placement of new users; there is
 * no default: a user sent to the wrong store finds an empty mailbox, and a client that believes it deletes its copy.
 */
import type { BackendSettings, RoutingSettings } from '../config/settings.ts'
import type { Octets, Text } from '../octets.ts'
import type { Secret } from '../secret.ts'
import type { AnswerSource, Directory, DirectoryEntry, DirectoryRefusal, LoginFacts } from './directory.ts'
import { canBeLogin, domainOf, formatLogin, normaliseUser, type NoteName } from './identity.ts'
import { createNewUsers, placedName, type Placing } from './new-users.ts'
import { RouteInvalid, type NoteRefusal } from './route-invalid.ts'
import { findStaticUser } from './static-directory.ts'
import { describeEntry, type RouteStep, type Trace } from './trace.ts'

export type RouteSource = 'static' | AnswerSource | 'domain'

export type Route =
  /** `password`, where there is one, takes the place of the user's own */
  | { kind: 'backend'; backend: BackendSettings; login: string; password?: Secret<Octets>; source: RouteSource }
  | { kind: 'hold' | 'disabled'; source: RouteSource }
  /** the directory has checked the password itself */
  | ({ kind: 'refused'; source: RouteSource } & DirectoryRefusal)
  /** nobody knows the user */
  | { kind: 'unknown' }

export type Router = {
  /**
   * @param name as the client gave it
   * @param note hears how it is read
   * @returns the one name that routes are kept under; undefined where it cannot be anybody's
   */
  identify(
    name: Octets,
    rules: { defaultDomain: string | undefined; delimiters: string },
    note?: NoteName,
  ): Text | undefined
  /**
   * @param user as `identify` gave it
   * @param trace hears of each step, to explain a route; with it nothing is changed: no route is remembered or placed
   * @param facts what else there is to know of a login; called only for a directory that asks
   * @throws MuxError `directory-unavailable`, `route-invalid`; `backend-down` where a new user can be placed nowhere
   */
  byUser(user: Text, trace?: Trace, facts?: () => LoginFacts): Promise<Route>
  /**
   * The back end has accepted a user whose route is `placed`: now it is the user's. To be awaited before the session begins.
   * @throws MuxError `directory-unavailable`: the session must not begin
   */
  settle(user: Text, backend: string): Promise<void>
  /** A back end has refused the user's password: perhaps the mailbox has moved, and nobody has said so. */
  doubt(user: Text): void
}

/**
 * @param directory undefined where the routing file is all there is
 * @param noteRefusal hears of each login that is refused for its route
 */
export function createRouter(
  routing: RoutingSettings,
  directory: Directory | undefined,
  noteRefusal: NoteRefusal,
  placing: Placing,
): Router {
  const newUsers = createNewUsers(routing.placement, directory, placing)

  /** What the routing file or the directory has under a name. @param user whose route it is */
  async function findKnown(
    name: string,
    user: string,
    trace?: Trace,
    facts?: () => LoginFacts,
  ): Promise<Route | undefined> {
    const fixed = findStaticUser(routing, name)
    trace?.({ asked: 'users', key: name, ...outcomeOf(fixed && describeEntry(fixed)) })
    if (fixed) return toRoute(user, fixed, 'static')
    const found = await directory?.lookup(name, trace, facts && { facts, backends: routing.backends })
    if (found?.refusal) return { kind: 'refused', source: found.source, ...found.refusal }
    return found?.entry && toRoute(user, found.entry, found.source)
  }

  function toRoute(user: string, entry: DirectoryEntry, source: RouteSource): Route {
    if (entry.status !== 'active') return { kind: entry.status, source }
    const backend = routing.backends.get(entry.backend)
    // Whoever can write to the directory must not be able to have passwords sent to a host of his own (CVE-2022-27924).
    if (!backend) {
      throw new RouteInvalid(
        'unknown-backend',
        `the route names a back end that the routing file does not: ${JSON.stringify(entry.backend.slice(0, 80))}`,
      )
    }
    const login = entry.login ?? formatLogin(backend.loginFormat, user)
    if (entry.login !== undefined && !canBeLogin(entry.login)) {
      throw new RouteInvalid('bad-login', 'the login name of the route holds characters that no name may have')
    }
    return { kind: 'backend', backend, login, source, ...(entry.password && { password: entry.password }) }
  }

  async function find(user: string, trace?: Trace, facts?: () => LoginFacts): Promise<Route> {
    const known = await findKnown(user, user, trace, facts)
    if (known) return known
    const domain = domainOf(user)
    const everybody = routing.domains.get(domain ?? '')
    if (domain !== undefined) trace?.({ asked: 'domains', key: domain, ...outcomeOf(everybody?.backend) })
    if (everybody) return toRoute(user, { ...everybody, login: undefined, status: 'active' }, 'domain')
    const pool = newUsers.poolFor(user)
    if (!pool) return { kind: 'unknown' }
    const name = placedName(user)
    const asPlaced = name === user ? undefined : await findKnown(name, user, trace, facts)
    if (asPlaced) return asPlaced
    const { entry, source } = await newUsers.place(name, pool, trace)
    return entry ? toRoute(user, entry, source) : { kind: 'unknown' }
  }

  return {
    identify: (name, rules, note) => normaliseUser(name, { ...rules, aliases: routing.aliases }, note),
    doubt(user) {
      directory?.doubt(user)
      const name = placedName(user)
      if (name !== user) directory?.doubt(name)
    },
    async settle(user, backend) {
      await directory?.settle?.(placedName(user), backend)
    },
    async byUser(user, trace, facts) {
      try {
        return await find(user, trace, facts)
      } catch (error) {
        if (error instanceof RouteInvalid && !trace) noteRefusal(user, error)
        throw error
      }
    },
  }
}

function outcomeOf(detail: string | undefined): Pick<RouteStep, 'outcome' | 'detail'> {
  return detail === undefined ? { outcome: 'nothing' } : { outcome: 'found', detail }
}
