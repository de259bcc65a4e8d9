/** What is known of a back end, in plain facts for the API: how it does, where it is, how mailmux goes there. Holds no secret. */
import type { Backend } from '../backend/backends.ts'
import type { LiveBackend, PlaceFacts } from '../backend/live-backend.ts'
import type { BackendSettings, ProtocolName } from '../config/settings.ts'

/** What does not apply is absent, as in all that the API tells. */
export type AddressReport = {
  protocol: ProtocolName
  /** the name or address of the routing file */
  host: string
  /** what is dialled */
  ip: string
  port: number
  state: PlaceFacts['state']
  /** in that state, in milliseconds of the epoch */
  sinceMs: number
  lastError?: string
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
  /** the client's address is told, where the back end offers to hear it */
  forwardsIdentity: boolean
  /** who logs in there for users who have shown a certificate */
  master?: { user: string; by: 'authzid' | 'separator' }
}

export type BackendReport = {
  name: string
  /** somebody new may be sent there */
  up: boolean
  /** in the order in which they are tried */
  addresses: AddressReport[]
  leg: LegReport
}

/** @param protocol undefined: every one that it serves */
export function reportBackend({ settings }: Backend, live: LiveBackend, protocol?: ProtocolName): BackendReport {
  const facts = live.describe().addresses
  const ordered = protocol === undefined ? facts : inOrder(facts, live, protocol)
  const addresses = ordered.map(({ protocol, host, ip, port, state, sinceMs, lastError }): AddressReport => {
    return { protocol, host, ip, port, state, sinceMs, ...(lastError !== undefined && { lastError }) }
  })
  return { name: settings.name, up: live.isUp(protocol), addresses, leg: reportLeg(settings) }
}

function inOrder(facts: readonly PlaceFacts[], live: LiveBackend, protocol: ProtocolName): PlaceFacts[] {
  return live.addresses(protocol).flatMap(({ address }) => {
    const isIt = (one: PlaceFacts): boolean => one.ip === address.ip && one.port === address.port
    return facts.find((one) => one.protocol === protocol && isIt(one)) ?? []
  })
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
