/** One login against a scripted store on loopback: the real path from the route to the answer, without a listener and a directory. */
import { once } from 'node:events'
import { createServer, Socket, type AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { createAdmissions } from '../../../src/backend/admission/admission.ts'
import { createLiveBackends } from '../../../src/backend/live-backends.ts'
import { createBackendStates } from '../../../src/backend/states.ts'
import type { BackendSettings } from '../../../src/config/settings.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import { asOctets, type Octets } from '../../../src/octets.ts'
import { createDecoyChallenge } from '../../../src/protocol/decoy-challenge.ts'
import type { Credentials, LoginAttempt, RelayedCredentials } from '../../../src/protocol/protocol.ts'
import { decodeScram } from '../../../src/protocol/sasl.ts'
import type { Route, Router, RouteSource } from '../../../src/routing/router.ts'
import { Secret } from '../../../src/secret.ts'
import { ClientConnection } from '../../../src/client/connection.ts'
import { BackendConnection } from '../../../src/backend/backend-connection.ts'
import { SYSTEM_CLOCK, type LoginClock } from '../../../src/login/clock.ts'
import { createHeldBack } from '../../../src/login/held-back.ts'
import { createHeldUsers } from '../../../src/login/held-users.ts'
import { Login, type LoginServices } from '../../../src/login/login.ts'
import { createRefusalRecord } from '../../../src/session/refusal-record.ts'
import { SessionEvents } from '../../../src/session/events.ts'
import { Session } from '../../../src/session/session.ts'
import { subscribeLog } from '../../../src/session/session-log.ts'
import { logIn } from '../../../src/session/serve.ts'
import type { World } from '../../../src/world.ts'
import { READ_DEADLINE_MS, until } from '../../support/deadline.ts'
import { backend as buildBackend, keepLog } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'
import type { UserName } from '../../../src/user-name.ts'
import { named } from '../../support/user-name.ts'

/** What the store says to a line of the client's. */
export type Answer = (line: string, say: (...lines: string[]) => void, socket: Socket) => void

/** An IMAP store that announces PLAIN, SCRAM and XOAUTH2; `answer` gets every line but CAPABILITY. Closed with the test. */
export async function startStore(t: TestContext, answer: Answer, greeting = '* OK ready'): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const say = (...lines: string[]): void => void socket.write(lines.map((line) => `${line}\r\n`).join(''))
    socket.on('error', () => undefined)
    if (greeting === '') socket.end()
    else say(greeting)
    const lines = createInterface({ input: socket })
    lines.on('error', () => undefined) // readline repeats the errors of the socket
    lines.on('line', (line) => {
      const [tag = ''] = line.split(' ')
      if (/^\S+ CAPABILITY/.test(line))
        say('* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256 AUTH=XOAUTH2', `${tag} OK done`)
      else answer(line, say, socket)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

export type Site = ReturnType<typeof openSite>

/** The time of the system, but no pause of a second between two attempts. Deadlines are longer, or what is left of one. */
const WITHOUT_PAUSES: LoginClock = {
  nowMs: () => SYSTEM_CLOCK.nowMs(),
  after: (ms, run) => SYSTEM_CLOCK.after(ms === 1000 ? 0 : ms, run),
}

/** How the routes of a site are found, and what its directory does with a commit. */
export type SiteRoutes = { source: RouteSource; commit: Router['commit'] }

/** One back end `store-1` at `port`; the user `nobody` has no route, in any domain; every other user is there. */
export function openSite(
  t: TestContext,
  port: number,
  changes: Partial<BackendSettings> = {},
  identify: (name: string) => UserName = named,
  { source, commit }: SiteRoutes = { source: 'static', commit: () => Promise.resolve() },
  limits?: LoginServices['limits'],
) {
  const backend = buildBackend({
    hosts: ['127.0.0.1'],
    ports: { imap: port },
    forwardIdentity: false,
    slowStartMs: 0,
    ...changes,
  })
  const { log, lines } = keepLog()
  const observed: number[] = []
  const challenged: number[] = []
  const listener = listenerSettings()
  const backends = createLiveBackends({
    log,
    metrics: { backendIsUp: () => undefined, backendAddresses: () => undefined },
  })
  backends.reconcile({ backends: new Map([[backend.settings.name, backend.settings]]), resolvers: [] })
  const admissions = createAdmissions({ log, loginWaited: () => undefined })
  admissions.configure(new Map([[backend.settings.name, backend.settings]]))
  const states = createBackendStates(log)
  states.configure(new Map([[backend.settings.name, backend.settings]]))
  t.after(() => {
    admissions.close()
    backends.close()
  })
  const route = (user: string): Route =>
    /^nobody(?:@|$)/.test(user)
      ? { kind: 'unknown' }
      : { kind: 'backend', backend: backend.settings, login: user, source }
  const world = {
    settings: { limits: { failureDelayMs: 0, backendTimeoutMs: 20_000 } },
    backends: new Map([[backend.settings.name, backend]]),
    router: {
      identify,
      loginsOf: ({ user, master = '' }: UserName) => [`${user}${master}`],
      byUser: ({ user }: UserName) => Promise.resolve(route(user)),
      commit,
      invalidate: () => undefined,
    },
    decoyChallenge: createDecoyChallenge('secret'),
  } as unknown as World
  const refusals = createRefusalRecord(3)
  const events = new SessionEvents(
    [subscribeLog(log), refusals.subscriber],
    () => log.isLevelEnabled?.('debug') === true,
  )
  const services: LoginServices = {
    backends,
    admissions,
    states,
    heldUsers: createHeldUsers((user) => user),
    clock: WITHOUT_PAUSES,
    dial: (...to) => new BackendConnection(...to),
    events,
    limits,
    heldBack: createHeldBack(),
    pace: {
      observeChallenge: (ms: number) => void challenged.push(ms),
      challengeMs: () => 0,
      observe: (ms: number) => void observed.push(ms),
      dueMs: (leastMs: number) => leastMs,
    },
  }
  const context = {
    settings: listener,
    banner: () => '',
    tls: undefined,
    trustedProxies: createIpSet([]),
    passthrough: new Map<string, string>(),
  }

  return {
    backend: backend.settings,
    live: backends.of(backend.settings),
    admissions,
    states,
    log,
    lines,
    /** what goes on at the back end's gate */
    facts() {
      const [gate] = admissions.describe()
      return { logins: gate?.logins, sessions: gate?.sessions, waiting: gate?.waiting }
    },
    /** Resolves once so many logins wait for their slot. */
    waiting: (count: number) =>
      until(
        READ_DEADLINE_MS,
        () => (admissions.describe()[0]?.waiting === count ? true : undefined),
        () => `not ${count} logins wait`,
      ),
    events,
    /** the last three */
    refusals: refusals.list,
    /** what the pace of refusals was told */
    observed,
    /** and of the time that challenges take */
    challenged,
    connect(address = '192.0.2.1'): Session {
      const connection = new ClientConnection(new Socket(), context, () => undefined)
      connection.client = { address, port: 4711 }
      connection.local = { address: '198.51.100.1', port: 143 }
      const session = new Session('s', connection, context, world, events)
      // Awaited, because a timer that is left cannot be cleared once another test has mocked the timers.
      t.after(() => new Promise<void>((resolve) => session.close(resolve)))
      return session
    },
    login: (session: Session, attempt: LoginAttempt) =>
      logIn(new Login(session, session.startLogin(), attempt, world, services)),
  }
}

function attemptOf(user: string, mechanism: LoginAttempt['mechanism'], credentials: Credentials): LoginAttempt {
  return { user: asOctets(user), mechanism, credentials, id: new Map(), ttl: undefined, preamble: [] }
}

export function byPassword(user: string): LoginAttempt {
  return attemptOf(user, 'PLAIN', {
    kind: 'password',
    authcid: asOctets(user),
    password: new Secret(asOctets('secret')),
  })
}

/** @param converse gives the client's answer to a challenge */
export function byScram(user: string, converse: RelayedCredentials['converse']): LoginAttempt {
  const firstMessage = (): Secret<Octets> => new Secret(asOctets(`n,,n=${user},r=nonce`))
  return attemptOf(user, 'SCRAM-SHA-256', { kind: 'relayed', mechanism: 'SCRAM-SHA-256', firstMessage, converse })
}

/** The same by a client-first-message of its own. */
export function byFirstMessage(first: string, converse: RelayedCredentials['converse']): LoginAttempt {
  const message = decodeScram(asOctets(first))
  if (!message) throw new Error(`no client-first-message: ${first}`)
  const firstMessage = (user: Octets): Secret<Octets> | undefined => {
    const rewritten = message.rewrite(user)
    return rewritten === undefined ? undefined : new Secret(rewritten)
  }
  return attemptOf(message.user, 'SCRAM-SHA-256', {
    kind: 'relayed',
    mechanism: 'SCRAM-SHA-256',
    firstMessage,
    converse,
  })
}

/** `performance.now()` with a hand that moves it forward. */
export function steerClock(t: TestContext): (ms: number) => void {
  const real = performance.now.bind(performance)
  let ahead = 0
  t.mock.method(performance, 'now', () => real() + ahead)
  return (ms) => void (ahead += ms)
}
