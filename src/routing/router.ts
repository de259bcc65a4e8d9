/**
 * Maps a user to a back end. Static users come first, then the directory, then the route of the domain or its placement of new users.
 * There is no default: on the wrong store a user finds an empty mailbox, and a synchronising client deletes its copy.
 */
import type { BackendSettings, PlacementPool, RoutingSettings } from '../config/settings.ts'
import { toEpochMs } from '../clock.ts'
import { MuxError } from '../errors.ts'
import type { Octets, Text } from '../octets.ts'
import type { Secret } from '../secret.ts'
import type { AnswerSource, Directory, DirectoryRefusal, LoginFacts } from '../directory/directory.ts'
import { domainOf, formatLogin, identifyUser } from './identity.ts'
import { canBeLogin, type NameRules, type NoteName, type UserName } from '../user-name.ts'
import { createNewUsers, placedName, type Placing, type Reassigning } from './new-users.ts'
import { createReassignment } from './reassignment.ts'
import { recipientNames } from './recipient.ts'
import { type RouteStep, type Trace } from '../directory/trace.ts'
import { type DirectoryEntry, describeEntry, isOnHold } from '../directory/entry.ts'
import { RouteInvalid } from '../directory/errors.ts'
import type { NoteRefusal } from './refusal-notes.ts'

export type RouteSource = 'static' | AnswerSource | 'domain'

export type Route =
  /** `password`, if present, replaces the user's own */
  | { kind: 'backend'; backend: BackendSettings; login: string; password?: Secret<Octets>; source: RouteSource }
  /** `token` of the hold; undefined for one of an operator */
  | { kind: 'hold'; source: RouteSource; token: string | undefined }
  | { kind: 'disabled'; source: RouteSource }
  /** by a directory that checks passwords */
  | ({ kind: 'refused'; source: RouteSource } & DirectoryRefusal)
  /** no source has a route for the user */
  | { kind: 'unknown' }

export type Router = {
  /**
   * @param name as the client sent it
   * @param note called for each step of reading it
   * @returns its parts; undefined if it cannot be a user name
   */
  identify(
    name: Octets,
    rules: Pick<NameRules, 'defaultDomain' | 'delimiters' | 'masterSeparator'>,
    note?: NoteName,
  ): UserName | undefined
  /**
   * @param name as `identify` gave it
   * @param trace called for each step, to explain a route; a traced lookup stores and places nothing
   * @param facts further facts of the login; called only for a directory that uses them
   * @returns a promise only where the directory is asked
   * @throws MuxError `directory-unavailable`, `route-invalid`; `backend-down` if a new user can be placed on no back end
   */
  byUser(name: UserName, trace?: Trace, facts?: () => LoginFacts): Route | Promise<Route>
  /**
   * The route of the recipient of a mail, which is no login: a user without a route is not placed.
   * @param delimiters characters that begin an address extension
   * @throws MuxError `directory-unavailable`, `route-invalid`
   */
  byRecipient(name: UserName, delimiters: string): Promise<Route>
  /**
   * Where a user with a running session belongs now. Places no user.
   * @param user the normalised name
   * @returns undefined if there is no route, or a `hold`
   * @throws MuxError as `byUser`; also `directory-unavailable` if only a route from before an outage is known
   */
  byRunning(user: Text): Promise<{ backend: string } | 'disabled' | undefined>
  /** The names that a user would have at the back ends with a route without `login`, each followed by the master user. */
  loginsOf(name: UserName): string[]
  /**
   * Makes the back end that has accepted a user with the source `placed` the user's route. Must be awaited before the session begins.
   * @throws MuxError `directory-unavailable`: the session must not begin
   */
  commit(user: Text, backend: string): Promise<void>
  /** The back ends that users of this one could get if it was drained with `reassign`. */
  reassignsTo: (backend: string) => string[]
  /** Marks the cached route as stale, after a refusal of the password: the mailbox may have moved. */
  invalidate(user: Text): void
}

/**
 * @param directory undefined if routes are only in the routing file
 * @param noteRefusal called for each login that is refused for its route
 */
export function createRouter(
  routing: RoutingSettings,
  directory: Directory | undefined,
  noteRefusal: NoteRefusal,
  placing: Placing,
): Router {
  const loginFormats = [...new Set([...routing.backends.values()].map(({ loginFormat }) => loginFormat))]
  const newUsers = createNewUsers(routing.placement, directory, placing)
  const reassignment = createReassignment(routing, directory, newUsers, placing.reassigning ?? NEVER)

  /**
   * Finds the route of a key in the routing file or the directory.
   * @param name of the user with this route
   * @returns a promise only where the directory is asked
   */
  function findKnown(
    key: string,
    name: UserName,
    options: FindOptions = {},
  ): Route | undefined | Promise<Route | undefined> {
    const fixed = findStaticUser(routing, key)
    options.trace?.({ asked: 'users', key, ...outcomeOf(fixed && describeEntry(fixed)) })
    if (fixed) return toRoute(name, fixed, 'static')
    return directory && !directory.isEmpty?.() ? findInDirectory(directory, key, name, options) : undefined
  }

  async function findInDirectory(
    directory: Directory,
    key: string,
    name: UserName,
    { trace, facts, mayReassign = false }: FindOptions,
  ): Promise<Route | undefined> {
    const found = await directory.lookup(key, trace, facts && { facts, backends: routing.backends })
    if (found.refusal) return { kind: 'refused', source: found.source, ...found.refusal }
    const entry = mayReassign ? await reassignment.find(key, found, trace) : undefined
    if (entry) return toRoute(name, entry, 'directory')
    return found.entry && toRoute(name, found.entry, found.source)
  }

  function toRoute(name: UserName, entry: DirectoryEntry, source: RouteSource): Route {
    if (entry.status === 'disabled') return { kind: 'disabled', source }
    // A hold that has run out was left behind by a program that has ended: the route is as before.
    if (entry.status === 'hold' && isOnHold(entry, toEpochMs(performance.now())))
      return { kind: 'hold', source, token: entry.hold?.token }
    const backend = routing.backends.get(entry.backend)
    // A program that can write to the directory must not be able to direct passwords to another host (CVE-2022-27924).
    if (!backend) {
      throw new RouteInvalid(
        'unknown-backend',
        `the route names a back end that the routing file does not: ${JSON.stringify(entry.backend.slice(0, 80))}`,
      )
    }
    const login = entry.login ?? formatLogin(backend.loginFormat, name)
    if (entry.login !== undefined && !canBeLogin(entry.login)) {
      throw new RouteInvalid('bad-login', 'the login name of the route holds characters that no name may have')
    }
    return { kind: 'backend', backend, login, source, ...(entry.password && { password: entry.password }) }
  }

  function findDomain(name: UserName, trace?: Trace): Route | undefined {
    const domain = domainOf(name.user)
    const everybody = routing.domains.get(domain ?? '')
    if (domain !== undefined) trace?.({ asked: 'domains', key: domain, ...outcomeOf(everybody?.backend) })
    return everybody && toRoute(name, { ...everybody, login: undefined, status: 'active' }, 'domain')
  }

  function find(name: UserName, trace?: Trace, facts?: Facts): Route | Promise<Route> {
    const known = findKnown(name.user, name, { trace, facts, mayReassign: true })
    if (known instanceof Promise) return known.then((route) => route ?? findUnlisted(name, trace, facts))
    return known ?? findUnlisted(name, trace, facts)
  }

  /** The route of the domain, or a place for a new user. */
  function findUnlisted(name: UserName, trace?: Trace, facts?: Facts): Route | Promise<Route> {
    const pool = newUsers.poolFor(name.user)
    return findDomain(name, trace) ?? (pool ? findNewUser(name, pool, trace, facts) : UNKNOWN)
  }

  async function findNewUser(name: UserName, pool: PlacementPool, trace?: Trace, facts?: Facts): Promise<Route> {
    const { user } = name
    const placed = placedName(user)
    const asPlaced = placed === user ? undefined : await findKnown(placed, name, { trace, facts, mayReassign: true })
    if (asPlaced) return asPlaced
    const { entry, source } = await newUsers.place(placed, pool, trace)
    return entry ? toRoute(name, entry, source) : UNKNOWN
  }

  async function findRecipient(name: UserName, delimiters: string): Promise<Route> {
    const names = recipientNames(name, delimiters)
    // One after the other: nearly every address is found by the first, and the order decides.
    for (const one of names) {
      const known = await findKnown(one.user, one)
      if (known) return known
    }
    const ofDomain = findDomain(name)
    if (ofDomain) return ofDomain
    const wasKnown = names.some(({ user }) => newUsers.poolFor(user) && directory?.lastKnown?.(user))
    if (wasKnown)
      throw new MuxError('directory-unavailable', 'the directory has no route any more for a user who had one')
    return { kind: 'unknown' }
  }

  async function findRunning(user: Text): Promise<{ backend: string } | 'disabled' | undefined> {
    const name: UserName = { user, local: user, domain: undefined }
    const placed = placedName(user)
    const route =
      (await findKnown(user, name)) ??
      findDomain(name) ??
      (newUsers.poolFor(user) && placed !== user ? await findKnown(placed, name) : undefined)
    // A remembered route that stands in during an outage may be older than the session.
    if (!route || !('source' in route)) return undefined
    if (route.source === 'stale' || route.source === 'snapshot')
      throw new MuxError('directory-unavailable', 'the route of a running user is from before an outage')
    if (route.kind === 'backend') return { backend: route.backend.name }
    return route.kind === 'disabled' ? 'disabled' : undefined
  }

  function noted(name: UserName, error: unknown): never {
    if (error instanceof RouteInvalid) noteRefusal(name.user, error)
    throw error
  }

  function findAndNote(name: UserName, facts?: Facts): Route | Promise<Route> {
    try {
      const route = find(name, undefined, facts)
      return route instanceof Promise ? route.catch((error: unknown) => noted(name, error)) : route
    } catch (error) {
      return noted(name, error)
    }
  }

  return {
    identify: (octets, rules, note) =>
      identifyUser(octets, { ...rules, aliases: routing.aliases, userCase: routing.userCase }, note),
    loginsOf: (name) => loginFormats.map((format) => `${formatLogin(format, name)}${name.master ?? ''}`),
    reassignsTo: (backend) => reassignment.targetsOf(backend),
    invalidate(user) {
      directory?.invalidate(user)
      const name = placedName(user)
      if (name !== user) directory?.invalidate(name)
    },
    async commit(user, backend) {
      await directory?.commit?.(placedName(user), backend)
    },
    byUser: (name, trace, facts) => (trace ? find(name, trace, facts) : findAndNote(name, facts)),
    byRunning: findRunning,
    byRecipient: (name, delimiters) => findRecipient(name, delimiters).catch((error: unknown) => noted(name, error)),
  }
}

const UNKNOWN: Route = { kind: 'unknown' }

const NEVER: Reassigning = { isOrdered: () => false, mayTake: () => false }

type Facts = (() => LoginFacts) | undefined

/** `mayReassign`: a login, which may get another back end than the one that is found. */
type FindOptions = { trace?: Trace | undefined; facts?: Facts; mayReassign?: boolean }

function outcomeOf(detail: string | undefined): Pick<RouteStep, 'outcome' | 'detail'> {
  return detail === undefined ? { outcome: 'nothing' } : { outcome: 'found', detail }
}

/** Synchronous: static users come first in each lookup and should cost it nothing. */
function findStaticUser({ users }: RoutingSettings, user: string): DirectoryEntry | undefined {
  const route = users.get(user)
  return route && { ...route, status: 'active' }
}
