/** Where a back end can be reached: what its configuration names, as addresses with ports. */
import { isIP } from 'node:net'
import type { BackendSettings, ProtocolName } from '../config/settings.ts'

/** One place where a back end can be reached. */
export type Address = {
  /** the name or address of the configuration that led here, for whose name TLS verifies the certificate */
  readonly host: string
  /** what is dialled */
  readonly ip: string
  readonly port: number
  readonly source: 'address' | 'name' | 'srv'
  /** those of a lower one are tried first */
  readonly rank: number
  /** the share among those of one rank */
  readonly weight: number
}

/** @returns undefined where the back end does not serve the protocol */
export function addressesOf(settings: BackendSettings, protocol: ProtocolName): Address[] | undefined {
  const port = settings.ports[protocol]
  if (port === undefined) return undefined
  return settings.hosts.map((host, rank) => ({
    host,
    ip: host,
    port,
    source: isIP(host) === 0 ? 'name' : 'address',
    rank,
    weight: 1,
  }))
}
