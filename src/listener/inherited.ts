/**
 * Listening sockets that this process has inherited: from the service manager, or from the mailmux whose place it takes. A listener takes
 * the one of its address in place of binding a port. The kernel's queue of the socket goes on, so that no connection is refused.
 */
import { closeSync } from 'node:fs'
import { hostPort, shortestAddress } from '../net/address.ts'

export type InheritedSocket = { host: string; port: number; descriptor: number }

type Address = { host: string; port: number }

export type InheritedSockets = {
  /** The descriptor that listens on this address, which then belongs to the caller; each is given once. */
  take: (address: Address) => number | undefined
  /** Whether there is one of this address that nothing has taken. */
  has: (address: Address) => boolean
  /** Whether a socket for every IPv6 address was inherited, which may accept the IPv4 connections of this address too. */
  mayCover: (address: Address) => boolean
  /** Closes those that nothing has taken. @returns their addresses */
  closeRest: () => Address[]
}

export function createInheritedSockets(sockets: readonly InheritedSocket[]): InheritedSockets {
  const left = new Map(sockets.map((socket) => [keyOf(socket), socket]))
  return {
    take(address) {
      const found = left.get(keyOf(address))
      left.delete(keyOf(address))
      return found?.descriptor
    },
    has: (address) => left.has(keyOf(address)),
    mayCover: ({ host, port }) =>
      host === '0.0.0.0' && sockets.some((socket) => socket.host === '::' && socket.port === port),
    closeRest() {
      const rest = [...left.values()]
      left.clear()
      for (const { descriptor } of rest) closeSync(descriptor)
      return rest.map(({ host, port }) => ({ host, port }))
    },
  }
}

/** Whether both are the same port of the same address, however it is written. */
export function isSamePort(one: Address, other: Address): boolean {
  return keyOf(one) === keyOf(other)
}

function keyOf({ host, port }: Address): string {
  return hostPort(shortestAddress(host), port)
}

/** For a process that has inherited nothing. */
export const NONE_INHERITED: InheritedSockets = createInheritedSockets([])

/** The open ports of this process, for another one to inherit. @throws Error where the runtime does not tell their descriptors */
export function passOn(addresses: readonly Address[], descriptors: readonly (number | undefined)[]): InheritedSocket[] {
  return addresses.map(({ host, port }, index) => {
    const descriptor = descriptors[index]
    if (descriptor === undefined) throw new Error('this runtime cannot pass on open ports')
    return { host, port, descriptor }
  })
}
