/** Which back end a login goes to, and as whom; or the words in which it is turned away before any back end hears of it. */
import type { Backend } from '../backend/backends.ts'
import { MuxError } from '../errors.ts'
import type { LookupSource, Metrics } from '../metrics/metrics.ts'
import { asOctets, encodeUtf8, type Octets } from '../octets.ts'
import { judgeLength, MAX_CREDENTIAL_BYTES, MAX_TOKEN_BYTES } from '../protocol/credential-bounds.ts'
import type { BackendLogin, Credentials, LoginAttempt } from '../protocol/protocol.ts'
import type { LoginFacts } from '../routing/directory.ts'
import type { Route, RouteSource } from '../routing/router.ts'
import type { Secret } from '../secret.ts'
import type { UserName } from '../user-name.ts'
import type { World } from '../world.ts'
import type { ClientConnection } from '../client/connection.ts'
import { findDefaultDomain } from './default-domain.ts'
import { describeLogin } from './login-facts.ts'
import { refusalOfRoute, type TurnedAway } from './refuse.ts'

type Routed =
  | {
      backend: Backend
      login: Omit<BackendLogin, 'identity' | 'ttl' | 'aboutToTell'>
      source: RouteSource
      /** of a new user: to be awaited once the back end has accepted the login, before the session begins */
      settle?: () => Promise<void>
    }
  | TurnedAway

/** Notes on `conn` who it is and where it goes. @throws MuxError `directory-unavailable`, `route-invalid`, `no-master` */
export async function routeLogin(
  conn: ClientConnection,
  login: LoginAttempt,
  world: World,
  metrics: Metrics,
): Promise<Routed> {
  const { listener, serverName, local } = conn
  conn.backend = undefined
  conn.loginAttempts++
  // The name of a certificate is complete: a client may choose the server name, the address and the port that it connects to.
  const isCertified = login.credentials.kind === 'certificate'
  const defaultDomain = isCertified ? undefined : findDefaultDomain(listener, serverName, local.address)?.domain
  const name = world.router.identify(login.user, {
    defaultDomain,
    delimiters: isCertified ? listener.delimiters.replace(/[\\ ]/g, '') : listener.delimiters,
    masterSeparator: mayNameMaster(login) ? listener.masterSeparator : undefined,
  })
  conn.user = name?.user
  conn.master = name?.master?.slice(1)
  if (judgeLength(login.user, login.credentials) === 'too-long') return TOO_LONG
  const route = name === undefined ? UNKNOWN : await findRoute(name, () => describeLogin(conn, login), world, metrics)
  if (route.kind === 'unknown' && name !== undefined && isOtherAtEachBackend(login, name, world)) return OTHER_NAME
  if (route.kind !== 'backend') return refusalOfRoute(route)
  const backend = world.backends.get(route.backend.name)
  if (!backend) throw new MuxError('internal', `no back end ${route.backend.name} in this world`)
  conn.backend = route.backend.name
  const mailbox = encodeUtf8(`${route.login}${name?.master ?? ''}`)
  return {
    backend,
    source: route.source,
    login: {
      ...credentialsFor(backend, mailbox, login, route.password),
      startTls: route.backend.tls === 'starttls',
      preamble: login.preamble,
      proxyHeader: route.backend.proxyProtocol !== 'none',
    },
    ...(name !== undefined &&
      route.source === 'placed' && { settle: () => world.router.settle(name.user, route.backend.name) }),
  }
}

/** A certificate speaks for one user alone. In PLAIN with an authzid the authcid is the master user: no second one is read from the name. */
function mayNameMaster({ user, credentials }: LoginAttempt): boolean {
  return credentials.kind === 'relayed' || (credentials.kind === 'password' && credentials.authcid === user)
}

/** In the words and at the pace of a wrong password; no directory and no back end is asked. */
const TOO_LONG: TurnedAway = {
  refusal: { reason: 'authentication-failed' },
  detail: `a name and a password of more than ${MAX_CREDENTIAL_BYTES} octets, or a token of more than ${MAX_TOKEN_BYTES}`,
}

/** SCRAM proves the name too: a login under another name than the client's own can go to no back end. */
function isOtherAtEachBackend({ credentials }: LoginAttempt, name: UserName, { router }: World): boolean {
  if (credentials.kind !== 'relayed') return false
  return router.loginsOf(name).every((login) => credentials.firstMessage(encodeUtf8(login)) === undefined)
}

/** As `credentialsFor` refuses a known user by that name, and as soon, so that the answer does not tell who exists. */
const OTHER_NAME: TurnedAway = {
  refusal: { reason: 'misconfigured' },
  detail: 'no route for this user, whose name no back end would have',
}

/** What cannot be anybody's name is nobody's, and no directory needs to be asked. */
const UNKNOWN: Route = { kind: 'unknown' }

async function findRoute(name: UserName, facts: () => LoginFacts, { router }: World, metrics: Metrics): Promise<Route> {
  const started = performance.now()
  let source: LookupSource = 'error'
  try {
    const route = await router.byUser(name, undefined, facts)
    source = route.kind === 'unknown' ? 'unknown' : route.source
    return route
  } finally {
    metrics.routeDecided(source, performance.now() - started)
  }
}

/** The client's own proof; the password that the directory gives in its place; or, for a client that has proved itself to us by certificate, the master user's. */
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
