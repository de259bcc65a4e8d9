/** What is known of a back end, in plain facts for the API: how it does, where it is, how mailmux goes there. Holds no secret. */
import type { Admissions } from '../backend/admission/admission.ts'
import type { LiveBackends } from '../backend/live-backends.ts'
import type { Backend } from '../backend/backends.ts'
import type { LiveBackend, EndpointFacts } from '../backend/live-backend.ts'
import { effectiveState } from '../backend/state.ts'
import type { BackendStates } from '../backend/states.ts'
import type { BackendSettings, BackendState, ProtocolName } from '../config/settings.ts'
import type { ErrorCode } from '../errors.ts'

/** What is known of the running back ends. */
export type RunningBackends = { backends: LiveBackends; admissions: Admissions; states: Pick<BackendStates, 'of'> }

/** What does not apply is absent, as in all that the API tells. */
export type AddressReport = {
  protocol: ProtocolName
  /** the name or address of the routing file */
  host: string
  /** what is dialled */
  ip: string
  port: number
  /** how it was found: as it stands, by a name's address records, or by SRV records */
  source: EndpointFacts['source']
  state: EndpointFacts['state']
  /** in that state, in milliseconds of the epoch */
  sinceMs: number
  lastError?: ErrorCode
  /** in milliseconds of the epoch too; absent where nothing is checked, and where there is no name */
  nextCheckMs?: number
  lookedUpAgainMs?: number
}

export type LegReport = {
  tls: BackendSettings['tls']
  /** what its certificate is held against */
  verifies?: 'name' | 'pins' | 'nothing'
  /** absent where it is the host that is dialled */
  certificateName?: string
  trusts?: 'system' | 'ca_file'
  pins?: readonly string[]
  /** mailmux shows a certificate of its own where it is asked for one */
  showsCertificate?: true
  proxyHeader: BackendSettings['proxyProtocol']
  /** the client's address is sent, where the back end announces a command for it */
  forwardsIdentity: boolean
  /** who logs in there for users who have shown a certificate */
  master?: { user: string; by: 'authzid' | 'separator' }
}

export type BackendReport = {
  name: string
  /** new users may be placed there */
  up: boolean
  /** that an operator has set, and where */
  state: BackendState
  stateFrom: 'routing' | 'directory'
  /** the time over which a drain is spread, where it is not the default */
  overMs?: number
  /** with a drain: its users get another back end by placement */
  reassign?: true
  /** what is checked from time to time */
  check: BackendSettings['health']['check']
  /** in the order in which this user tries them */
  addresses: AddressReport[]
  leg: LegReport
  load: LoadReport
}

/** What is under way there by this process, and how much of it there may be. */
export type LoadReport = {
  sessions: number
  logins: number
  waiting: number
  limits: { sessions?: number; logins: number; loginsPerSecond?: number; waitMs: number; queue: number }
  /** in place of the limits for now, as it has just come back */
  slowStart?: { logins: number; loginsPerSecond: number }
}

/** @param way undefined: every protocol that it serves, for no particular user */
export function reportBackend(
  { settings }: Backend,
  { backends, admissions, states }: RunningBackends,
  way?: { protocol: ProtocolName; user: string | undefined },
): BackendReport {
  const live = backends.of(settings)
  const { addresses, check } = live.describe()
  const { state, from, overMs, reassign } = states.of(settings.name) ?? effectiveState(settings.state, undefined)
  return {
    name: settings.name,
    up: live.isUp(way?.protocol),
    state,
    stateFrom: from,
    ...(overMs !== undefined && { overMs }),
    ...(reassign && { reassign }),
    check,
    addresses: (way ? inOrder(addresses, live, way) : addresses).map(reportAddress),
    leg: reportLeg(settings),
    load: reportLoad(settings, admissions),
  }
}

function inOrder(
  facts: readonly EndpointFacts[],
  live: LiveBackend,
  { protocol, user }: { protocol: ProtocolName; user: string | undefined },
): EndpointFacts[] {
  return live.addresses(protocol, user).flatMap(({ address }) => {
    const isIt = (one: EndpointFacts): boolean => one.ip === address.ip && one.port === address.port
    return facts.find((one) => one.protocol === protocol && isIt(one)) ?? []
  })
}

function reportAddress({ lastError, nextCheckMs, lookedUpAgainMs, ...always }: EndpointFacts): AddressReport {
  return {
    ...always,
    ...(lastError !== undefined && { lastError }),
    ...(nextCheckMs !== undefined && { nextCheckMs }),
    ...(lookedUpAgainMs !== undefined && { lookedUpAgainMs }),
  }
}

function reportLeg(settings: BackendSettings): LegReport {
  const { tls, proxyProtocol, forwardIdentity, master, clientCertificate } = settings
  return {
    tls,
    ...(tls !== 'none' && reportTrust(settings)),
    ...(clientCertificate && { showsCertificate: true as const }),
    proxyHeader: proxyProtocol,
    forwardsIdentity: forwardIdentity,
    ...(master && { master: { user: master.user, by: master.separator === undefined ? 'authzid' : 'separator' } }),
  }
}

/** As `backends.ts` builds it and `dialer.ts` checks it: a pin says more than any CA could. */
function reportTrust({ pins, verify, tlsName, ca }: BackendSettings): Partial<LegReport> {
  if (pins.length > 0) return { verifies: 'pins', pins }
  if (verify === 'none') return { verifies: 'nothing' }
  const trusts = ca === undefined ? 'system' : 'ca_file'
  return { verifies: 'name', ...(tlsName !== undefined && { certificateName: tlsName }), trusts }
}

function reportLoad({ name, limits }: BackendSettings, admissions: Admissions): LoadReport {
  const gate = admissions.describe().find(({ backend }) => backend === name)
  const { sessions = 0, logins = 0, waiting = 0, slowStart } = gate ?? {}
  const { sessions: most, loginsPerSecond, leastForAddress: _, ...always } = limits
  const perSecond = loginsPerSecond !== undefined && { loginsPerSecond }
  return {
    sessions,
    logins,
    waiting,
    limits: { ...(most !== undefined && { sessions: most }), ...perSecond, ...always },
    ...(slowStart && { slowStart }),
  }
}
