/** A set of networks, asked by address. What cannot be read as an address is in no set: the answer guards a privilege. */
import net from 'node:net'

export type IpSet = {
  /** Whether one of the networks holds `address`, in whatever form the socket or a header spelt it. */
  has(address: string): boolean
}

type Family = 'ipv4' | 'ipv6'

/** The last 96 bits that an IPv4 address wears in IPv6 (RFC 4291 2.5.5.2), as a prefix length. */
const MAPPED_PREFIX_BITS = 96

/**
 * @param cidrs networks (`10.0.0.0/8`, `2001:db8::/32`) and single addresses; bits past the prefix are ignored
 * @throws RangeError on what is neither; the configuration has checked them before
 */
export function createIpSet(cidrs: readonly string[]): IpSet {
  // One list a family: a single BlockList takes every IPv4 address for a member of `::/0`.
  const lists = { ipv4: new net.BlockList(), ipv6: new net.BlockList() }
  for (const cidr of cidrs) {
    const { address, family, prefixBits } = parseCidr(cidr)
    lists[family].addSubnet(address, prefixBits, family)
  }
  return {
    has: (text) => {
      const place = parseAddress(text)
      return place !== undefined && lists[place.family].check(place.address, place.family)
    },
  }
}

function parseCidr(cidr: string): { address: string; family: Family; prefixBits: number } {
  const match = /^(?<address>[\d.a-f:]+)(?:\/(?<bits>0|[1-9]\d{0,2}))?$/iu.exec(cidr)?.groups
  const written = net.isIP(match?.address ?? '')
  const place = parseAddress(match?.address ?? '')
  if (!place) throw new RangeError(`not an address and not a network: ${cidr}`)
  const bits = match?.bits === undefined ? (written === 4 ? 32 : 128) : Number(match.bits)
  // A network of mapped addresses is one of IPv4 addresses, when it is not wider than all of them.
  const isMapped = written === 6 && place.family === 'ipv4'
  const prefixBits = isMapped ? bits - MAPPED_PREFIX_BITS : bits
  if (prefixBits < 0 || prefixBits > (place.family === 'ipv4' ? 32 : 128)) {
    throw new RangeError(`not a length that the prefix of ${place.family} can have: ${cidr}`)
  }
  return { address: place.address, family: place.family, prefixBits }
}

/**
 * The one form of an address, in lower case and its shortest; undefined where it is none.
 * A dual-stack socket calls an IPv4 client `::ffff:192.0.2.1`, and a link-local one `fe80::1%eth0`.
 */
export function parseAddress(text: string): { address: string; family: Family } | undefined {
  if (net.isIP(text) === 4) return { address: text, family: 'ipv4' }
  if (net.isIP(text) !== 6) return undefined
  const { address } = new net.SocketAddress({ address: text, family: 'ipv6' }) // in its canonical form, without the zone
  const mapped = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : ''
  return net.isIP(mapped) === 4 ? { address: mapped, family: 'ipv4' } : { address, family: 'ipv6' }
}
