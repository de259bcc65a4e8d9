/** Which addresses are the same place. Pure; a name other than `localhost` is never looked up here. */
import { specOf } from '../../protocol/registry.ts'
import type { ListenAddress } from '../settings.ts'
import type { Listener } from './drafts.ts'
import { familyOf, isAddress, isLoopbackAddress, isMapped, canonicalAddress, type Family } from '../../net/address.ts'

/** Whether only this machine can reach it. */
export function isLoopback(host: string): boolean {
  return isAddress(host) ? isLoopbackAddress(host) : /^localhost\.?$/iu.test(host)
}

const EVERY = { '0.0.0.0': 4, '::': 6 } as const

/** Two bound addresses that cannot both have one port. `::` is bound for IPv6 alone, so it leaves IPv4 free. */
export function overlaps(a: string, b: string): boolean {
  if (a === b) return true
  return coversFamily(a) === familyOf(b) || coversFamily(b) === familyOf(a)
}

function coversFamily(host: string): Family | undefined {
  return host === '0.0.0.0' || host === '::' ? EVERY[host] : undefined
}

/** Whether dialling `host` from this machine arrives at a listener bound to `bound`. */
export function arrivesAt(host: string, bound: string): boolean {
  if (isMapped(host)) return arrivesAt(canonicalAddress(host), bound)
  if (!isAddress(host)) return isLoopback(host) && (arrivesAt('127.0.0.1', bound) || arrivesAt('::1', bound))
  if (host === bound) return true
  // The system takes "every address" as a destination to mean its own loopback.
  if (host === '0.0.0.0') return arrivesAt('127.0.0.1', bound)
  if (host === '::') return arrivesAt('::1', bound)
  return isLoopback(host) && coversFamily(bound) === familyOf(host)
}

/** The addresses of a listener: as written, or its protocol's registered port on every address. Undefined where they cannot be known. */
export function listenAddresses(listener: Listener): ListenAddress[] | undefined {
  const { listen, protocol, tls } = listener
  if (listen !== undefined) return listen.flatMap((one) => one ?? [])
  if (protocol === undefined || tls === undefined) return undefined
  const port = specOf(protocol).ports[tls === 'implicit' || tls === 'passthrough' ? 'implicit' : 'plain']
  return ['0.0.0.0', '::'].map((host) => ({ host, port, optional: true }))
}
