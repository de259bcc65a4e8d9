/**
 * Every decision on the path of a login to its back end, with the reason, for `mailmux explain`. It calls the same code as a login and
 * looks at the same state. It changes nothing, except that a lookup may fill the cache of routes.
 */
import type { BackendSettings, ListenerSettings, ProtocolName } from '../config/settings.ts'
import { asMuxError, MuxError, type ErrorCode } from '../errors.ts'
import { encodeUtf8 } from '../octets.ts'
import type { Refusal } from '../protocol/protocol.ts'
import type { Route } from '../routing/router.ts'
import type { RouteStep } from '../directory/trace.ts'
import { findServerName } from '../tls/server-name.ts'
import type { NameNote } from '../user-name.ts'
import type { World } from '../world.ts'
import { reportBackend, type BackendReport, type RunningBackends } from './backend-report.ts'
import { findDefaultDomain, type DefaultDomain } from '../login/default-domain.ts'
import { imagine, type Question } from './question.ts'
import { reasonOf, refusedByRoute } from '../login/refuse.ts'

export type Explanation = {
  /** a login would get to a back end that takes logins */
  usable: boolean
  /** the question, with defaults filled in */
  login: {
    user: string
    protocol: ProtocolName
    listener: string
    tls: ListenerSettings['tls']
    serverName?: string
    address?: string
  }
  /** how the name is interpreted; without `user` it is not a valid name; undefined if TLS is passed through, where no name is visible */
  name?: { user?: string; defaultDomain?: DefaultDomain; notes: NameNote[] }
  /** the sources that were asked for the route, in this order */
  steps: RouteStep[]
  /** `login` is the name to log in with at the back end */
  route?: { source: string; backend: string; login?: string }
  backend?: BackendReport
  /** the refusal of the client and its reason, as in the line "login refused" */
  refusal?: RefusalReport
}

/** `reason` is absent if the connection is closed without an answer. */
type RefusalReport = { reason?: Refusal['reason']; code?: ErrorCode; detail: string }

/** @returns `wrong` for a question that this configuration has no answer to, in words */
export async function explain(
  question: Question,
  world: World,
  services: RunningBackends,
): Promise<Explanation | { wrong: string }> {
  const imagined = imagine(question, world.settings.listeners)
  if ('wrong' in imagined) return imagined
  const { listener, serverName, address } = imagined
  const asked = {
    login: {
      user: question.user,
      protocol: listener.protocol,
      listener: listener.name,
      tls: listener.tls,
      ...(serverName !== undefined && { serverName }),
      ...(address !== undefined && { address }),
    },
    steps: [],
  }
  const passedTo = findServerName(world.listeners.get(listener.name)?.passthrough ?? NO_RULES, serverName)
  if (passedTo !== undefined) {
    return {
      ...asked,
      route: { source: 'pass-through', backend: passedTo },
      ...atBackend(passedTo, { protocol: listener.protocol, user: undefined }, world, services),
    }
  }
  if (listener.tls === 'passthrough') {
    const detail = 'no rule for this server name: the connection is closed'
    return { ...asked, usable: false, refusal: { code: 'client-no-such-name', detail } }
  }

  const defaultDomain = findDefaultDomain(listener, serverName, address)
  const notes: NameNote[] = []
  const read = world.router.identify(
    encodeUtf8(question.user),
    {
      defaultDomain: defaultDomain?.domain,
      delimiters: listener.delimiters,
      masterSeparator: listener.masterSeparator,
    },
    (note) => notes.push(note),
  )
  const usesDefault = notes.some(({ what }) => what === 'default-domain')
  const user = read?.user
  const name = { ...(user !== undefined && { user }), ...(usesDefault && defaultDomain && { defaultDomain }), notes }
  const steps: RouteStep[] = []
  try {
    const route: Route =
      read === undefined ? { kind: 'unknown' } : await world.router.byUser(read, (step) => steps.push(step))
    return {
      ...asked,
      name,
      steps,
      ...whereTo(route, { protocol: listener.protocol, user }, read?.master, world, services),
    }
  } catch (thrown) {
    return { ...asked, name, steps, usable: false, refusal: reportOf(asMuxError(thrown)) }
  }
}

const NO_RULES: ReadonlyMap<string, string> = new Map()

type Found = Pick<Explanation, 'usable' | 'route' | 'backend' | 'refusal'>

/** The protocol and the user of a login: the order of several addresses may depend on them. */
type Target = { protocol: ProtocolName; user: string | undefined }

/** @param master what the back end gets behind the name of the mailbox */
function whereTo(
  route: Route,
  target: Target,
  master: string | undefined,
  world: World,
  services: RunningBackends,
): Found {
  if (route.kind !== 'backend') {
    const { refusal, detail, code } = refusedByRoute(route)
    return { usable: false, refusal: { reason: refusal.reason, detail, ...(code && { code }) } }
  }
  const { backend, source } = route
  const login = `${route.login}${master ?? ''}`
  return { route: { source, backend: backend.name, login }, ...atBackend(backend.name, target, world, services) }
}

/** What a login finds at the back end that it is sent to. */
function atBackend(name: string, target: Target, world: World, services: RunningBackends): Omit<Found, 'route'> {
  const found = world.backends.get(name)
  if (!found) throw new MuxError('internal', `no back end ${name} in this world`)
  const backend = reportBackend(found, services, target)
  const byState = whyNotOpen(backend)
  const refusal = byState ?? (backend.up ? undefined : whyNotUp(backend, found.settings, target.protocol))
  return { usable: backend.up && !byState, backend, ...(refusal && { refusal }) }
}

/** As a login that meets this state ends; with `pause` and `drain` after its wait. */
function whyNotOpen({ name, state }: BackendReport): RefusalReport | undefined {
  if (state === 'up') return undefined
  if (state === 'down') return reportOf(new MuxError('backend-down', `the state of back end ${name} is down`))
  const code = state === 'drain' ? 'backend-drained' : 'backend-paused'
  return reportOf(new MuxError(code, `the state of back end ${name} is ${state}: logins wait`))
}

/** As `LiveBackend.enter` and the dial would put it. */
function whyNotUp(
  { name, addresses }: BackendReport,
  { ports, srv }: BackendSettings,
  protocol: ProtocolName,
): RefusalReport {
  if (ports[protocol] === undefined && srv?.[protocol] === undefined)
    return reportOf(new MuxError('backend-no-port', `back end ${name} has no ${protocol} port`))
  const [first] = addresses
  if (!first)
    return reportOf(new MuxError('backend-unreachable', `no address of back end ${name} for ${protocol} is known`))
  const broken = addresses.find(({ state }) => state === 'misconfigured')
  if (broken) {
    const detail = `back end ${name} cannot be used as it is set up: ${broken.lastError ?? ''}`
    return { reason: 'misconfigured', ...(broken.lastError && { code: broken.lastError }), detail }
  }
  const detail = `back end ${name} is down for ${protocol}: ${first.lastError ?? ''}`
  return reportOf(new MuxError('backend-down', detail))
}

function reportOf(error: MuxError): RefusalReport {
  return { reason: reasonOf(error), code: error.code, detail: error.message }
}
