/** The lifecycle of one session, in the order in which it happens. Parses nothing. */
import { MuxError, type ErrorCode } from '../errors.ts'
import { admitSession, noteRefusal } from '../login/admit.ts'
import { logInAtBackend } from '../login/attempt.ts'
import { refuseAsBackend } from '../login/decoy.ts'
import { Login, type Accepted } from '../login/login.ts'
import { holdRefusal, refusedByError } from '../login/refuse.ts'
import { commitRoute, routeLogin } from '../login/route.ts'
import type { ClientDialogue, Refused } from '../protocol/protocol.ts'
import { protocols } from '../protocol/protocols.ts'
import { PRODUCT } from '../world.ts'
import { admitOrigin } from './admit.ts'
import type { Ending } from './events.ts'
import { findPassThrough, joinUnopened } from './pass-through.ts'
import type { Joined, Services } from './services.ts'
import type { Session } from './session.ts'

/** @throws MuxError for every end that is not a normal one; the caller answers it and closes the session */
export async function serve(session: Session, services: Services): Promise<Ending> {
  const { connection, listener } = session
  const deadline = new LoginDeadline(session)
  let joined: Joined | undefined
  try {
    if (listener.proxyProtocol === 'required') await readOrigin(session, services)
    if (!connection.isHealthCheck) services.events.emit({ type: 'accepted', session })
    if (listener.passthrough.length > 0) joined = await passThrough(session, services, deadline)
    if (!joined) {
      if (listener.tls === 'implicit') await secure(session)
      joined = await awaitLogins(session, greet(session, services), services, deadline)
    }
  } finally {
    deadline.stop()
  }
  // What a login needs is dropped by now: a session may last for days, and there are many of them.
  return joined ? relay(session, joined, services) : { cause: 'logout', bytesFromClient: 0, bytesFromBackend: 0 }
}

/** The connection ends with a goodbye in place of an answer: some mobile clients stop push for an hour after a tagged NO. */
const WAITED_IN_VAIN: ReadonlySet<ErrorCode> = new Set([
  'backend-paused',
  'backend-drained',
  'user-on-hold',
  'shutting-down',
  // The session was ordered to end while its login waited.
  'moved',
  'drained',
  'rebalanced',
  'kicked',
  'disabled',
  // Its place was needed.
  'too-many-connections',
])

/** @returns the back end that has accepted a login; undefined after a logout */
async function awaitLogins(
  session: Session,
  dialogue: ClientDialogue,
  services: Services,
  deadline: LoginDeadline,
): Promise<Joined | undefined> {
  for (;;) {
    session.phase = 'login'
    const attempt = await dialogue.awaitLogin()
    if (attempt === 'logout') return undefined
    deadline.stop()
    countAsClient(session, services)
    const login = new Login(session, session.startLogin(), attempt, session.world, services.logins)
    const result = await logIn(login)
    if (result.accepted) {
      const { acceptance, backend } = result
      dialogue.accept(acceptance)
      session.dialogue = undefined
      const { unaskedGoodbye: goodbye } = protocols[session.listener.protocol]
      return { ...backend.detach(), goodbye, watch: acceptance.watch }
    }
    if (result.code && WAITED_IN_VAIN.has(result.code)) throw new MuxError(result.code, result.detail)
    // The client stays connected after a refusal. Its next login is routed anew: it may be another user's.
    dialogue.refuse(result.refusal)
    if (result.last)
      throw new MuxError('client-refused', 'the directory has refused the login, and wants it to be the last')
    deadline.start()
  }
}

/**
 * One login: route, attempts at the back end, the route of a new user, or a refusal when it is due. A login test takes the same steps.
 * @throws MuxError if the client itself is the cause; other failures become refusals
 */
export async function logIn(login: Login): Promise<Accepted | Refused> {
  const { events } = login.services
  let result: Accepted | Refused
  try {
    const routed = routeLogin(login)
    const route = routed instanceof Promise ? await routed : routed
    if (events.wantsDetails) events.emit({ type: 'route-decided', login, route })
    if ('refusal' in route) result = await refuseAsBackend(login, route)
    else {
      result = await logInAtBackend(login, route)
      if (result.accepted) {
        const asked = admitSession(login, result, route.login.user)
        result = (asked instanceof Promise ? await asked : asked) ?? result
      }
      if (result.accepted) {
        if (route.source === 'placed') await commitRoute(login, result)
        events.emit({ type: 'logged-in', login, route, address: result.address, tookMs: login.ageMs })
      }
    }
  } catch (thrown) {
    result = refusedByError(thrown)
  }
  if (!result.accepted) {
    events.emit({ type: 'login-refused', login, refused: result, tookMs: login.ageMs })
    noteRefusal(login, result)
    await holdRefusal(login, result)
  }
  return result
}

/** Relays until the session ends. What either side has sent that mailmux has not read goes first. */
function relay(session: Session, joined: Joined, { relays, relayAccount, events }: Services): Promise<Ending> {
  const { connection, listener, login, world } = session
  session.phase = 'relaying'
  const startedMs = performance.now()
  const handle = relays.run(connection.socket, joined.socket, {
    idleMs: world.settings.limits.idleMs[listener.protocol],
    spreadMs: world.settings.limits.spreadDisconnectsMs,
    goodbye: joined.goodbye,
    watch: session.trace ? session.trace.watch(joined.watch) : joined.watch,
    unreadFromClient: connection.detach(),
    unreadFromBackend: joined.unread,
    account: relayAccount(listener.protocol, login?.backend ?? ''),
  })
  events.emit({ type: 'relay-started', session })
  session.startRelay(handle)
  return handle.ended.then((ending) => {
    events.emit({ type: 'relay-ended', session, tookMs: performance.now() - startedMs })
    return ending
  })
}

async function readOrigin(session: Session, services: Services): Promise<void> {
  session.phase = 'proxy-header'
  await session.connection.learnOrigin()
  await admitOrigin(session, services)
}

async function secure(session: Session): Promise<void> {
  session.phase = 'tls'
  await session.connection.startImplicitTls()
}

/** @returns undefined where mailmux serves the connection itself @throws MuxError `client-no-such-name`, or as a dial */
async function passThrough(session: Session, services: Services, deadline: LoginDeadline): Promise<Joined | undefined> {
  const backend = await findPassThrough(session)
  deadline.stop()
  if (backend) {
    countAsClient(session, services) // a login would be inside the TLS
    return joinUnopened(session, backend, services)
  }
  if (session.listener.tls === 'passthrough') throw new MuxError('client-no-such-name', 'no rule for this server name')
  deadline.start()
  return undefined
}

function greet(session: Session, services: Services): ClientDialogue {
  const { context, listener, world } = session
  const { limits } = world.settings
  session.phase = 'login'
  const dialogue = protocols[listener.protocol].openDialogue(
    session.trace?.clientWire(session.connection) ?? session.connection,
    {
      banner: context.banner(new Date()),
      product: PRODUCT,
      startTlsOffered: listener.tls === 'starttls',
      allowPlaintextAuth: listener.allowPlaintextAuth,
      ...services.offer(listener, world.backends),
      maxLineBytes: limits.maxLineBytes,
      maxBadCommands: limits.maxBadCommands,
      maxWrongPasswords: limits.maxWrongPasswords,
    },
  )
  session.dialogue = dialogue
  dialogue.greet()
  return dialogue
}

/** PROXY LOCAL is a load balancer's probe only as long as it tries no login: from then on it is counted, listed and logged. */
function countAsClient(session: Session, { events }: Services): void {
  if (!session.connection.isHealthCheck) return
  session.connection.isHealthCheck = false
  events.emit({ type: 'accepted', session })
}

/** Ends a session whose client does not log in. It is stopped while a login is under way, which has limits of its own. */
class LoginDeadline {
  readonly #session: Session
  #timer: NodeJS.Timeout | undefined

  constructor(session: Session) {
    this.#session = session
    this.start()
  }

  start(): void {
    this.#timer = setTimeout(expire, this.#session.world.settings.limits.loginTimeoutMs, this.#session)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}

function expire({ connection, world }: Session): void {
  const { loginTimeoutMs } = world.settings.limits
  connection.fail(new MuxError('client-login-timeout', `no login within ${loginTimeoutMs} ms`))
}
