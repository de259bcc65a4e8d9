/** Which addresses are the same place. Pure; a name other than `localhost` is never looked up here. */
import net from 'node:net'

const LOOPBACK = new net.BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

/** Whether only this machine can reach it. BlockList sees through `::ffff:127.0.0.1` by itself. */
export function isLoopback(host: string): boolean {
  const family = net.isIP(host)
  if (family === 0) return /^localhost\.?$/iu.test(host)
  return LOOPBACK.check(host, family === 4 ? 'ipv4' : 'ipv6')
}

const EVERY = { '0.0.0.0': 4, '::': 6 } as const

/** Two bound addresses that cannot both have one port. `::` is bound for IPv6 alone, so it leaves IPv4 free. */
export function overlaps(a: string, b: string): boolean {
  if (a === b) return true
  return coversFamily(a) === net.isIP(b) || coversFamily(b) === net.isIP(a)
}

function coversFamily(host: string): number | undefined {
  return host === '0.0.0.0' || host === '::' ? EVERY[host] : undefined
}

/** Whether dialling `host` from this machine arrives at a listener bound to `bound`. */
export function arrivesAt(host: string, bound: string): boolean {
  const mapped = /^::ffff:(?<v4>[\d.]+)$/u.exec(host)?.groups?.v4
  if (mapped !== undefined) return arrivesAt(mapped, bound)
  if (net.isIP(host) === 0) return isLoopback(host) && (arrivesAt('127.0.0.1', bound) || arrivesAt('::1', bound))
  if (host === bound) return true
  // The system takes "every address" as a destination to mean its own loopback.
  if (host === '0.0.0.0') return arrivesAt('127.0.0.1', bound)
  if (host === '::') return arrivesAt('::1', bound)
  return isLoopback(host) && coversFamily(bound) === net.isIP(host)
}
