/** The blocks as a worker applies them: asked for each connection and each login. */
import { canonicalAddress } from '../net/address.ts'
import { createIpSet, type IpSet } from '../net/ip-set.ts'
import type { Guard } from '../limits/limits.ts'
import type { Rejection } from '../limits/rejection.ts'
import type { BlockTarget } from './block.ts'

export type BlockTable = {
  guard: Guard
  /** @returns the blocks that were not there before */
  replace(blocks: readonly BlockTarget[]): BlockTarget[]
}

const BLOCKED: Rejection = { limit: 'block', kind: 'denied', detail: 'blocked by an operator' }

export function createBlockTable(): BlockTable {
  let known = new Set<string>()
  let addresses = new Set<string>()
  let networks: IpSet | undefined
  let users = new Set<string>()

  function isBlocked(address: string): boolean {
    if (addresses.size > 0 && addresses.has(canonicalAddress(address))) return true
    return networks?.has(address) === true
  }

  return {
    guard: {
      ofConnection: ({ address }) => (isBlocked(address) ? BLOCKED : undefined),
      // The address again: the block may have come after the connection.
      ofLogin: ({ address, user }) =>
        (users.size > 0 && user !== undefined && users.has(user)) || isBlocked(address) ? BLOCKED : undefined,
    },
    replace(blocks) {
      const before = known
      const ofAddress = blocks.filter(({ kind }) => kind === 'address').map(({ target }) => target)
      const ranges = ofAddress.filter((target) => target.includes('/'))
      known = new Set(blocks.map(keyOf))
      addresses = new Set(ofAddress.filter((target) => !target.includes('/')).map(canonicalAddress))
      networks = ranges.length > 0 ? createIpSet(ranges) : undefined
      users = new Set(blocks.filter(({ kind }) => kind === 'user').map(({ target }) => target))
      return blocks.filter((block) => !before.has(keyOf(block)))
    },
  }
}

function keyOf({ kind, target }: BlockTarget): string {
  return `${kind} ${target}`
}
