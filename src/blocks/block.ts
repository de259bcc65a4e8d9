/** A block: an operator keeps an address, a network or a user out, for a time or until further notice. Pure. */
import { z } from 'zod'
import { firstAddress, parseNetwork, addressBits } from '../net/address.ts'
import { createIpSet } from '../net/ip-set.ts'
import { PLAIN_RULES, readUser, type NameRules } from '../user-name.ts'

export type BlockTarget = {
  kind: 'address' | 'user'
  /** an address, a network, or the normalised name of a user */
  target: string
}

/** Times are of the epoch: other machines and people read them. */
export type Block = BlockTarget & {
  by: string
  sinceMs: number
  /** undefined: until it is removed */
  untilMs: number | undefined
}

/** A block as it is stored. */
export const blockFacts = z.strictObject({
  by: z.string().max(100),
  sinceMs: z.number().int().nonnegative(),
  untilMs: z.number().int().nonnegative().optional(),
})

/** Digits with the separators of addresses and networks. A domain makes a name of a user of any of them. */
const LIKE_AN_ADDRESS = /^(?=.*[./:])(?:[\d.*/-]+|(?=.*:)[\da-f.:*/-]+)$/iu

/** @param text as an operator writes it */
export function readTarget(
  text: string,
  rules: Pick<NameRules, 'userCase' | 'aliases'>,
): BlockTarget | { wrong: string } {
  const network = parseNetwork(text)
  if (network) {
    const { address, family, prefixBits } = network
    if (prefixBits === 0) return { wrong: `${text} is every address` }
    const first = firstAddress(network)
    if (prefixBits === addressBits(family)) return { kind: 'address', target: address }
    if (first !== address) return { wrong: `${text} has host bits: the network is ${first}/${prefixBits}` }
    return { kind: 'address', target: `${first}/${prefixBits}` }
  }
  // Listeners without a default domain accept nearly any name. A block of the user "300.1.2.3" would keep no address out.
  if (LIKE_AN_ADDRESS.test(text)) return { wrong: `${text} is no address and no network` }
  const name = readUser(text, { ...PLAIN_RULES, ...rules })
  return name
    ? { kind: 'user', target: name.user }
    : { wrong: `${text} is no address, no network and no name of a user` }
}

/** Whether it is the target of a block of an address, in the form that `readTarget` gives it. */
export function isAddressTarget(text: string): boolean {
  const network = parseNetwork(text)
  if (!network || network.prefixBits === 0) return false
  const { address, prefixBits, family } = network
  const isAlone = prefixBits === addressBits(family)
  return firstAddress(network) === address && text === (isAlone ? address : `${address}/${prefixBits}`)
}

/** What a block must not cover. `networks` in the order of their importance. */
export type Protected = readonly { networks: readonly string[]; why: string }[]

/** @returns why this target must not be blocked; undefined if it may */
export function findObjection({ kind, target }: BlockTarget, protectedOnes: Protected): string | undefined {
  if (kind === 'user') return undefined
  const blocked = createIpSet([target])
  for (const { networks, why } of protectedOnes) {
    const set = createIpSet(networks)
    const covered = networks.find((one) => blocked.has(addressOf(one)) || set.has(addressOf(target)))
    if (covered !== undefined) return why
  }
  return undefined
}

/** Of two networks that overlap, one has the first address of the other. */
function addressOf(network: string): string {
  const read = parseNetwork(network)
  return read ? firstAddress(read) : network
}
