/**
 * Every decision on the way of a login, and why: for people at three in the morning, who ask the running mailmux. Asks the code that
 * logins ask, with a trace; changes nothing, so that it can be asked of any name.
 */
import { isIP } from 'node:net'
import type { ListenerSettings, ProtocolName } from '../config/settings.ts'
import { asMuxError, MuxError, type ErrorCode } from '../errors.ts'
import type { Refusal } from '../protocol/protocol.ts'
import type { NameNote } from '../routing/identity.ts'
import type { Route } from '../routing/router.ts'
import type { RouteStep } from '../routing/trace.ts'
import { findServerName } from '../tls/server-name.ts'
import type { World } from '../world.ts'
import { reportBackend, type BackendReport } from './backend-report.ts'
import { findDefaultDomain, type DefaultDomain } from './default-domain.ts'
import { refusalOfError, refusalOfRoute } from './refusals.ts'
import type { Services } from './serve.ts'

/** A login as somebody imagines it. What is not said is as it would most likely be. */
export type Question = {
  /** as typed into a mail client */
  user: string
  protocol?: ProtocolName | undefined
  listener?: string | undefined
  /** of TLS, as the client asks for it */
  serverName?: string | undefined
  /** of mailmux, that the client comes to */
  address?: string | undefined
}

export type Explanation = {
  /** a login would get to a back end that takes logins */
  usable: boolean
  /** who is asked, and how: what was left open is filled in */
  login: {
    user: string
    protocol: ProtocolName
    listener: string
    tls: ListenerSettings['tls']
    serverName?: string
    address?: string
  }
  /** what the name is read as; without `user` it cannot be anybody's, and without all of it nobody looks at it: TLS is passed through */
  name?: { user?: string; defaultDomain?: DefaultDomain; notes: NameNote[] }
  /** who was asked for the route, in this order */
  steps: RouteStep[]
  /** `login` is the name to log in with at the back end */
  route?: { source: string; backend: string; login?: string }
  backend?: BackendReport
  /** what a client would be told, and why; as in the line "login refused" */
  refusal?: Turned
}

/** `reason` is absent where a client is told nothing and hung up on. */
type Turned = { reason?: Refusal['reason']; code?: ErrorCode; detail: string }

/** @returns `wrong` for a question that this configuration has no answer to, in words */
export async function explain(
  question: Question,
  world: World,
  services: Known,
): Promise<Explanation | { wrong: string }> {
  const listener = findListener(question, world.settings.listeners)
  if ('wrong' in listener) return listener
  const serverName = question.serverName?.toLowerCase()
  const address = question.address ?? onlyAddress(listener)
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
  const passedTo = findServerName(world.entrances.get(listener.name)?.passthrough ?? NO_RULES, serverName)
  if (passedTo !== undefined) {
    return {
      ...asked,
      route: { source: 'pass-through', backend: passedTo },
      ...atBackend(passedTo, listener.protocol, world, services),
    }
  }
  if (listener.tls === 'passthrough') {
    const detail = 'no rule for this server name: the connection is closed'
    return { ...asked, usable: false, refusal: { code: 'client-no-such-name', detail } }
  }

  const defaultDomain = findDefaultDomain(listener, serverName, address)
  const notes: NameNote[] = []
  const user = world.router.identify(
    Buffer.from(question.user).toString('latin1'),
    { defaultDomain: defaultDomain?.domain, delimiters: listener.delimiters },
    (note) => notes.push(note),
  )
  const usesDefault = notes.some(({ what }) => what === 'default-domain')
  const name = { ...(user !== undefined && { user }), ...(usesDefault && defaultDomain && { defaultDomain }), notes }
  const steps: RouteStep[] = []
  try {
    const route: Route =
      user === undefined ? { kind: 'unknown' } : await world.router.byUser(user, (step) => steps.push(step))
    return { ...asked, name, steps, ...whereTo(route, listener.protocol, world, services) }
  } catch (thrown) {
    return { ...asked, name, steps, usable: false, refusal: turnedAwayBy(asMuxError(thrown)) }
  }
}

const NO_RULES: ReadonlyMap<string, string> = new Map()

/** What is known of the back ends. */
type Known = Pick<Services, 'backends'>

type Found = Pick<Explanation, 'usable' | 'route' | 'backend' | 'refusal'>

function whereTo(route: Route, protocol: ProtocolName, world: World, services: Known): Found {
  if (route.kind !== 'backend') {
    const { refusal, detail } = refusalOfRoute(route)
    return { usable: false, refusal: { reason: refusal.reason, detail } }
  }
  const { backend, login, source } = route
  return { route: { source, backend: backend.name, login }, ...atBackend(backend.name, protocol, world, services) }
}

/** What a login finds at the back end that it is sent to. */
function atBackend(name: string, protocol: ProtocolName, world: World, { backends }: Known): Omit<Found, 'route'> {
  const backend = world.backends.get(name)
  if (!backend) throw new MuxError('internal', `no back end ${name} in this world`)
  const report = reportBackend(backend, backends.of(backend.settings), protocol)
  if (report.addresses.length === 0) {
    const error = new MuxError('backend-no-port', `back end ${name} has no ${protocol} port`)
    return { usable: false, backend: report, refusal: turnedAwayBy(error) }
  }
  if (report.up) return { usable: true, backend: report }
  const broken = report.addresses.find(({ state }) => state === 'misconfigured')
  if (broken) {
    const detail = `back end ${name} cannot be used as it is set up: ${broken.lastError ?? ''}`
    return { usable: false, backend: report, refusal: { reason: 'misconfigured', detail } }
  }
  const down = new MuxError(
    'backend-down',
    `back end ${name} is down for ${protocol}: ${report.addresses[0]?.lastError ?? ''}`,
  )
  return { usable: false, backend: report, refusal: turnedAwayBy(down) }
}

function turnedAwayBy(error: MuxError): Turned {
  return { ...refusalOfError(error), code: error.code, detail: error.message }
}

/** The one that was asked for, else the first of the protocol that opens TLS or needs none. */
function findListener(
  { listener: name, protocol }: Question,
  listeners: readonly ListenerSettings[],
): ListenerSettings | { wrong: string } {
  if (name !== undefined) {
    const named = listeners.find((listener) => listener.name === name)
    if (!named) return { wrong: `there is no listener ${name}: ${listeners.map((one) => one.name).join(', ')}` }
    if (protocol !== undefined && named.protocol !== protocol)
      return { wrong: `listener ${name} does not speak ${protocol}` }
    return named
  }
  const speaking = listeners.filter((listener) => protocol === undefined || listener.protocol === protocol)
  const found = speaking.find(({ tls }) => tls !== 'passthrough') ?? speaking[0]
  return found ?? { wrong: `no listener speaks ${protocol ?? ''}` }
}

/** Where every client comes to the same address, it is known without asking; but for those that a PROXY header speaks of. */
function onlyAddress({ listen, proxyProtocol }: ListenerSettings): string | undefined {
  const [only, ...others] = listen
  if (!only || others.length > 0 || proxyProtocol !== 'off') return undefined
  return isIP(only.host) === 0 || only.host === '0.0.0.0' || only.host === '::' ? undefined : only.host
}
