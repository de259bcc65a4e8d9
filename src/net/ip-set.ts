/** A set of networks, asked by address. What cannot be read as an address is in no set: the answer guards a privilege. */
import { BlockList } from 'node:net'
import { parseAddress, parseNetwork } from './address.ts'

export type IpSet = {
  /** Whether one of the networks holds `address`, in whatever form the socket or a header spelt it. */
  has(address: string): boolean
}

/** As BlockList calls them. */
const FAMILY_NAMES = { 4: 'ipv4', 6: 'ipv6' } as const

/**
 * @param cidrs networks (`10.0.0.0/8`, `2001:db8::/32`) and single addresses; bits past the prefix are ignored
 * @throws RangeError on what is neither; the configuration has checked them before
 */
export function createIpSet(cidrs: readonly string[]): IpSet {
  if (cidrs.length < LONG) return buildIpSet(cidrs)
  const key = cidrs.join('\n')
  const known = remembered.get(key) ?? buildIpSet(cidrs)
  remembered.delete(key)
  remembered.set(key, known) // as the youngest
  for (const oldest of remembered.keys()) {
    if (remembered.size <= MOST_REMEMBERED) break
    remembered.delete(oldest)
  }
  return known
}

/**
 * A list of this length takes milliseconds to read, and one of 100,000 networks half a second, in which no client is served. Every listener
 * may have the same list, and most reloads do not change it.
 */
const LONG = 1000
/** The lists of two configurations, each with one for `allow` and one for `deny`. */
const MOST_REMEMBERED = 4
const remembered = new Map<string, IpSet>()

function buildIpSet(cidrs: readonly string[]): IpSet {
  // One list a family: a single BlockList takes every IPv4 address for a member of `::/0`.
  const lists = { 4: new BlockList(), 6: new BlockList() }
  for (const cidr of cidrs) {
    const network = parseNetwork(cidr)
    if (!network) throw new RangeError(`not an address and not a network: ${cidr}`)
    lists[network.family].addSubnet(network.address, network.prefixBits, FAMILY_NAMES[network.family])
  }
  return {
    has: (text) => {
      const place = parseAddress(text)
      return place !== undefined && lists[place.family].check(place.address, FAMILY_NAMES[place.family])
    },
  }
}
