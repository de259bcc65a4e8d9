/**
 * Network addresses as text, and `host:port`: the only module that reads, compares and formats them. ipaddr.js does the arithmetic.
 * `net.isIP` decides what is an address, as ipaddr.js also reads forms that no socket prints (`1`, `010.0.0.1`, `0x7f.1`).
 */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

export type Family = 4 | 6

/** @returns undefined for what is no address, such as a host name. An address with a zone (`fe80::1%eth0`) is one. */
export function familyOf(text: string): Family | undefined {
  const version = isIP(text)
  return version === 4 || version === 6 ? version : undefined
}

export function isAddress(text: string): boolean {
  return isIP(text) !== 0
}

/** A zone names an interface of one machine and means nothing on another (RFC 4007 11.2). */
export function hasZone(address: string): boolean {
  return address.includes('%')
}

export function withoutZone(address: string): string {
  const zone = address.indexOf('%')
  return zone === -1 ? address : address.slice(0, zone)
}

/**
 * @param text an IPv6 address by `net.isIP`
 * ipaddr.js reads `::192.0.2.1`, the deprecated IPv4-compatible form (RFC 4291 2.5.5.1), as `::ffff:192.0.2.1`. In a set of trusted
 * networks that would be another address, so that ipaddr.js gets the last four octets as two groups.
 */
function parseIPv6(text: string): ipaddr.IPv6 {
  const groups = withoutZone(text).replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/u, (_, ...octets: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = octets.slice(0, 4).map(Number)
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  })
  return ipaddr.IPv6.parse(groups)
}

/**
 * The canonical form: the shortest spelling in lower case (RFC 5952), without a zone. An IPv4-mapped address (RFC 4291 2.5.5.2), as a
 * dual-stack socket shows an IPv4 client, becomes that IPv4 address.
 * @returns undefined for what is no address
 */
export function parseAddress(text: string): { address: string; family: Family } | undefined {
  const family = familyOf(text)
  if (family === undefined) return undefined
  if (family === 4) return { address: text, family }
  const ip = parseIPv6(text)
  if (ip.isIPv4MappedAddress()) return { address: ip.toIPv4Address().toString(), family: 4 }
  return { address: ip.toRFC5952String(), family }
}

/** The canonical form of an address, and every other text as it is. */
export function canonicalAddress(text: string): string {
  return parseAddress(text)?.address ?? text
}

/**
 * The canonical form of an address that a socket reports, and every other text as it is. Sockets write the shortest spelling, so that
 * only a zone and an IPv4-mapped address need work: this runs for each connection.
 */
export function plainAddress(text: string): string {
  return text.startsWith('::') || hasZone(text) ? canonicalAddress(text) : text
}

/**
 * The shortest spelling of an address to which a configuration connects or binds. It keeps a zone and the IPv4-mapped form, as
 * both select the socket's interface or family. Every other text stays as it is.
 */
export function shortestAddress(text: string): string {
  if (familyOf(text) !== 6 || hasZone(text)) return text
  const ip = parseIPv6(text)
  return ip.isIPv4MappedAddress() ? `::ffff:${ip.toIPv4Address().toString()}` : ip.toRFC5952String()
}

export function isMapped(text: string): boolean {
  return familyOf(text) === 6 && parseIPv6(text).isIPv4MappedAddress()
}

/** Whether only this machine can reach it: 127.0.0.0/8 (RFC 1122 3.2.1.3 (g)) and ::1, also in the IPv4-mapped form. */
export function isLoopbackAddress(text: string): boolean {
  const plain = parseAddress(text)
  return plain !== undefined && ipaddr.parse(plain.address).range() === 'loopback'
}

/**
 * Whether it means every address of a machine: 0.0.0.0 (RFC 1122 3.2.1.3 (a)) and :: (RFC 4291 2.5.2), in every spelling. As the
 * destination of a connection the system takes it for the loopback, so that mailmux would send passwords to another service of its own machine.
 */
export function isUnspecified(text: string): boolean {
  const plain = parseAddress(text)?.address
  return plain === '0.0.0.0' || plain === '::'
}

/** The groups of an IPv6 address that a provider assigns to one client: 64 bits (RFC 6177). */
const CLIENT_GROUPS = 4

/** The network that counts as one client: an IPv4 address alone, the /64 of an IPv6 address. Every other text stays as it is. */
export function networkOf(text: string): string {
  if (!text.includes(':')) return text
  if (familyOf(text) !== 6) return text
  const ip = parseIPv6(text)
  if (ip.isIPv4MappedAddress()) return ip.toIPv4Address().toString()
  const groups = ip.parts.slice(0, CLIENT_GROUPS)
  return groups.map((group) => group.toString(16)).join(':')
}

/** The groups that a provider assigns to one site: 48 bits (RFC 6177 2). */
const SITE_GROUPS = 3

/** @param network of `networkOf`. @returns the /48 around an IPv6 /64; undefined for an IPv4 address, whose neighbours are other clients */
export function siteOf(network: string): string | undefined {
  const groups = network.split(':')
  return groups.length === CLIENT_GROUPS ? groups.slice(0, SITE_GROUPS).join(':') : undefined
}

export type Network = { address: string; family: Family; prefixBits: number }

/** The bits before the IPv4 address in an IPv4-mapped one. */
const MAPPED_PREFIX_BITS = 96

/**
 * `10.0.0.0/8`, `2001:db8::/32`, or one address. A network of IPv4-mapped addresses is one of IPv4 addresses, unless it is wider than
 * all of them. Bits after the prefix stay as they are.
 * @returns undefined for every other text, a network with a zone included
 */
export function parseNetwork(text: string): Network | undefined {
  const { written = '', bits } = /^(?<written>[\d.a-f:]+)(?:\/(?<bits>0|[1-9]\d{0,2}))?$/iu.exec(text)?.groups ?? {}
  const plain = parseAddress(written)
  if (!plain) return undefined
  const { address, family } = plain
  const skippedBits = family === 4 && isMapped(written) ? MAPPED_PREFIX_BITS : 0
  const prefixBits = bits === undefined ? addressBits(family) : Number(bits) - skippedBits
  return prefixBits < 0 || prefixBits > addressBits(family) ? undefined : { address, family, prefixBits }
}

export function addressBits(family: Family): number {
  return family === 4 ? 32 : 128
}

/** The first address of a network: every bit after the prefix is cleared. */
export function firstAddress({ address, family, prefixBits }: Network): string {
  const cidr = `${address}/${prefixBits}`
  if (family === 4) return ipaddr.IPv4.networkAddressFromCIDR(cidr).toString()
  return ipaddr.IPv6.networkAddressFromCIDR(cidr).toRFC5952String()
}

/** The octets of an address in network order. With the family 6 an IPv4 address becomes an IPv4-mapped one. */
export function octetsOf(address: string, family: Family): number[] {
  if (familyOf(address) === 6) return parseIPv6(address).toByteArray()
  const ip = ipaddr.IPv4.parse(address)
  return (family === 6 ? ip.toIPv4MappedAddress() : ip).toByteArray()
}

/** @param octets four or sixteen, in network order. @returns the canonical form */
export function addressOf(octets: readonly number[]): string {
  const ip = ipaddr.fromByteArray([...octets])
  return canonicalAddress(ip instanceof ipaddr.IPv6 ? ip.toRFC5952String() : ip.toString())
}

/** A host as a URL and `host:port` have it: an IPv6 address in brackets (RFC 3986 3.2.2). */
export function bracketHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

/** The host of a URL without the brackets of an IPv6 address. */
export function unbracketHost(hostname: string): string {
  return hostname.startsWith('[') && hostname.endsWith(']') ? hostname.slice(1, -1) : hostname
}

/** `192.0.2.1:143`, `[2001:db8::1]:143`, `imap.example.org:143`. */
export function hostPort(host: string, port: number): string {
  return `${bracketHost(host)}:${port}`
}

/** The parts of `host:port`, neither of them checked. `isBracketed`: the host can only be an IPv6 address. */
export function splitHostPort(text: string): { host: string; port: string; isBracketed: boolean } | undefined {
  const parts = /^(?:\[(?<v6>[^[\]]*)\]|(?<name>[^:[\]]*)):(?<port>[^:]*)$/u.exec(text)?.groups
  if (!parts) return undefined
  const { v6, name = '', port = '' } = parts
  return { host: v6 ?? name, port, isBracketed: v6 !== undefined }
}
