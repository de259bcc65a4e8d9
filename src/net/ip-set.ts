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
