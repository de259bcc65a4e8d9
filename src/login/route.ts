/** Routing of a login: to which back end, and under which name; or a refusal before any back end is asked. */
import type { Backend } from '../backend/backends.ts'
import { MuxError } from '../errors.ts'
import type { LookupSource } from '../metrics/metrics.ts'
import { asOctets, encodeUtf8, type Octets } from '../octets.ts'
import { judgeLength, MAX_CREDENTIAL_BYTES, MAX_TOKEN_BYTES } from '../protocol/credential-bounds.ts'
import type { Credentials, LoginAttempt, Refused } from '../protocol/protocol.ts'
import type { Route } from '../routing/router.ts'
import type { Secret } from '../secret.ts'
import type { UserName } from '../user-name.ts'
import type { World } from '../world.ts'
import { admitLogin } from './admit.ts'
import { waitBesideClient } from './acquire-slot.ts'
import { findDefaultDomain } from './default-domain.ts'
import { describeLogin } from './login-facts.ts'
import type { Accepted, BackendRoute, Login } from './login.ts'
import { refused, refusedByRoute } from './refuse.ts'

type Routed = BackendRoute | Refused

/**
 * Notes in the login's record who logs in, and where.
 * @returns a promise only where a limit, the directory or the end of a hold is waited for
 * @throws MuxError `directory-unavailable`, `route-invalid`, `no-master`
 */
export function routeLogin(login: Login): Routed | Promise<Routed> {
  const { attempt, record, world, session } = login
  const { listener, connection } = session
  session.phase = 'routing'
  // The name of a certificate is complete: a client may choose the server name, the address and the port that it connects to.
  const isCertified = attempt.credentials.kind === 'certificate'
  const { serverName, local } = connection
  const name = world.router.identify(attempt.user, {
    defaultDomain: isCertified ? undefined : findDefaultDomain(listener, serverName, local.address)?.domain,
    delimiters: isCertified ? listener.delimiters.replace(/[\\ ]/g, '') : listener.delimiters,
    masterSeparator: mayNameMaster(attempt) ? listener.masterSeparator : undefined,
  })
  record.user = name?.user
  record.master = name?.master?.slice(1)
  const admitted = admitLogin(login)
  if (admitted instanceof Promise) return admitted.then((rejected) => rejected ?? routeAdmitted(login, name))
  return admitted ?? routeAdmitted(login, name)
}

function routeAdmitted(login: Login, name: UserName | undefined): Routed | Promise<Routed> {
  const { attempt } = login
  if (judgeLength(attempt.user, attempt.credentials) === 'too-long') return TOO_LONG
  // A name that no user can have needs no question to the directory.
  if (name === undefined) return follow(login, name, UNKNOWN)
  const found = findRoute(login, name)
  if (found instanceof Promise) return found.then((route) => followAfterHold(login, name, route))
  return followAfterHold(login, name, found)
}

function followAfterHold(login: Login, name: UserName, route: Route): Routed | Promise<Routed> {
  if (route.kind !== 'hold') return follow(login, name, route)
  return waitForRoute(login, name).then((after) => follow(login, name, after))
}

function follow(login: Login, name: UserName | undefined, route: Exclude<Route, { kind: 'hold' }>): Routed {
  const { attempt, record, world } = login
  if (route.kind === 'unknown' && name !== undefined && isOtherAtEachBackend(attempt, name, world)) return OTHER_NAME
  if (route.kind !== 'backend') {
    const refused = refusedByRoute(route)
    // The directory has checked the password: its time tells as much as a back end's.
    return route.kind === 'refused' ? { ...refused, tookMs: login.ageMs } : refused
  }
  const backend = world.backends.get(route.backend.name)
  if (!backend) throw new MuxError('internal', `no back end ${route.backend.name} in this world`)
  record.backend = route.backend.name
  const mailbox = encodeUtf8(`${route.login}${name?.master ?? ''}`)
  const { user, credentials } = credentialsFor(backend, mailbox, attempt, route.password)
  return {
    backend,
    source: route.source,
    login: {
      user,
      credentials,
      startTls: route.backend.tls === 'starttls',
      preamble: attempt.preamble,
      proxyHeader: route.backend.proxyProtocol !== 'none',
    },
  }
}

/**
 * Makes the back end that has accepted a new user that user's own. To be awaited before a byte is relayed.
 * @throws MuxError `directory-unavailable`: the back end is left again, and the login is refused
 */
export async function commitRoute({ record, world }: Login, { backend }: Accepted): Promise<void> {
  try {
    if (record.user !== undefined && record.backend !== undefined)
      await world.router.commit(record.user, record.backend)
  } catch (error) {
    backend.close()
    record.slot?.release()
    throw error
  }
}

/** A certificate stands for one user. In PLAIN with an authzid the authcid is the master user: the name has no second one. */
function mayNameMaster({ user, credentials }: LoginAttempt): boolean {
  return credentials.kind === 'relayed' || (credentials.kind === 'password' && credentials.authcid === user)
}

/** In the words and at the pace of a wrong password; no directory and no back end is asked. */
const TOO_LONG = refused(
  'authentication-failed',
  `a name and a password of more than ${MAX_CREDENTIAL_BYTES} octets, or a token of more than ${MAX_TOKEN_BYTES}`,
)

/** SCRAM proves the name too: a login under another name than the client's own can go to no back end. */
function isOtherAtEachBackend({ credentials }: LoginAttempt, name: UserName, { router }: World): boolean {
  if (credentials.kind !== 'relayed') return false
  return router.loginsOf(name).every((login) => credentials.firstMessage(encodeUtf8(login)) === undefined)
}

/** As `credentialsFor` refuses a known user by that name, and as soon, so that the answer does not tell who exists. */
const OTHER_NAME = refused('misconfigured', 'no route for this user, whose name no back end would have')

const UNKNOWN = { kind: 'unknown' } as const

/** The login of a user on hold waits. @throws MuxError `user-on-hold`, and as `findRoute` */
function waitForRoute(login: Login, name: UserName): Promise<Exclude<Route, { kind: 'hold' }>> {
  const { session, services, holdUntilMs } = login
  return waitBesideClient(session, { untilMs: holdUntilMs, holdUntilMs }, session, (options) =>
    services.heldUsers.wait(name.user, options, async () => {
      const next = await login.world.router.byUser(name, undefined, () => describeLogin(login))
      return next.kind === 'hold' ? undefined : next
    }),
  )
}

/** @returns a promise only where the directory is asked */
function findRoute(login: Login, name: UserName): Route | Promise<Route> {
  const startedMs = login.services.clock.nowMs()
  try {
    const route = login.world.router.byUser(name, undefined, () => describeLogin(login))
    if (!(route instanceof Promise)) return noteLookup(login, startedMs, route)
    return route.then(
      (found) => noteLookup(login, startedMs, found),
      (error: unknown) => noteFailedLookup(login, startedMs, error),
    )
  } catch (error) {
    return noteFailedLookup(login, startedMs, error)
  }
}

function noteLookup(login: Login, startedMs: number, route: Route): Route {
  emitLookup(login, startedMs, route.kind === 'unknown' ? 'unknown' : route.source)
  return route
}

function noteFailedLookup(login: Login, startedMs: number, error: unknown): never {
  emitLookup(login, startedMs, 'error')
  throw error
}

function emitLookup(login: Login, startedMs: number, source: LookupSource): void {
  const { clock, events } = login.services
  events.emit({ type: 'route-looked-up', login, source, tookMs: clock.nowMs() - startedMs })
}

/** The client's own proof; the password that the directory gives in its place; or the master user's for a client that has shown a certificate. */
function credentialsFor(
  { settings }: Backend,
  mailbox: Octets,
  { user, credentials }: LoginAttempt,
  given: Secret<Octets> | undefined,
): { user: Octets; credentials: Exclude<Credentials, { kind: 'certificate' }> } {
  if (given) return { user: mailbox, credentials: { kind: 'password', authcid: mailbox, password: given } }
  if (credentials.kind === 'relayed') {
    if (credentials.firstMessage(mailbox) === undefined)
      throw new MuxError(
        'backend-no-mechanism',
        `${credentials.mechanism} cannot carry another name than the client’s own`,
      )
    return { user: mailbox, credentials }
  }
  if (credentials.kind === 'password') {
    // A user without an authzid gets the name at the back end as authcid, with the master user behind it where there is one.
    const authcid = credentials.authcid === user ? mailbox : credentials.authcid
    return { user: mailbox, credentials: { ...credentials, authcid } }
  }
  const { master } = settings
  if (!master)
    throw new MuxError('no-master', `back end ${settings.name} has no master user, which a login by certificate takes`)
  const { secret: password, separator } = master
  const authcid = encodeUtf8(master.user)
  if (separator === undefined) return { user: mailbox, credentials: { kind: 'password', authcid, password } }
  const combined = asOctets(`${mailbox}${separator}${authcid}`) // Dovecot's auth_master_user_separator
  return { user: combined, credentials: { kind: 'password', authcid: combined, password } }
}
