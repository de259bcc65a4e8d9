/**
 * Ports that one process binds and others accept from. As long as it holds them, the ports, and the connections that wait at them,
 * outlive the processes that accept; it never accepts itself, so that a connection costs it nothing.
 */
import { closeSync } from 'node:fs'
import net, { type Server } from 'node:net'
import { systemCode } from '../errors.ts'
import { familyOf } from '../net/address.ts'
import { attend, BACKLOG, listenError, createDoor, isMissingFamily, type Accept } from './door.ts'
import { NONE_INHERITED, type InheritedSockets } from './inherited.ts'
import type { Listeners, OpenPort } from './listener.ts'
import type { NamedPort } from './ports.ts'

export type BoundPorts = {
  addresses: OpenPort[]
  /** of each of them, as this process has them open, for others to inherit */
  descriptors: number[]
  /** Closes them in this process; processes that inherited them keep them open. May be called twice. */
  close(): void
}

/**
 * @param inherited gives the ports that this process has inherited, which are not bound again
 * @throws Error with a message for the operator; no port is left bound then
 */
export async function bindPorts(
  ports: readonly NamedPort[],
  inherited: InheritedSockets = NONE_INHERITED,
): Promise<BoundPorts> {
  if (!('BoundSocket' in net)) {
    throw new Error('workers: more than 1 needs Node 26.4 or later (net.BoundSocket)')
  }
  const held: { descriptor: number; close: () => void }[] = []
  const addresses: OpenPort[] = []
  const close = (): void => {
    for (const port of held.splice(0)) port.close()
  }
  for (const { name, listen } of ports) {
    for (const address of listen) {
      const { host, port } = address
      try {
        held.push(takeOrBind(address, inherited))
        addresses.push({ listener: name, host, port })
      } catch (error) {
        if (isMissingFamily(error, address)) continue
        if (systemCode(error) === 'EADDRINUSE' && inherited.mayCover(address)) continue
        close()
        throw await listenError(error, name, address)
      }
    }
  }
  return { addresses, descriptors: held.map(({ descriptor }) => descriptor), close }
}

function takeOrBind(
  address: { host: string; port: number },
  inherited: InheritedSockets,
): { descriptor: number; close: () => void } {
  const { host, port } = address
  const descriptor = inherited.take(address)
  if (descriptor !== undefined) return { descriptor, close: () => closeSync(descriptor) }
  // Each family has a socket of its own: `::` must not take the IPv4 port as well.
  const socket = new net.BoundSocket({ host, port, ipv6Only: familyOf(host) === 6 })
  return { descriptor: socket.fd(), close: () => socket.close() }
}

/**
 * Accepts from ports that another process has bound and this one has inherited.
 * @param first the descriptor of the first of them; the others follow it
 * @throws Error with a message for the operator; no port is left open here then
 */
export async function openBoundPorts(
  addresses: readonly OpenPort[],
  first: number,
  accept: Accept,
): Promise<Listeners> {
  const servers: Server[] = []
  const close = (): void => {
    for (const server of servers) server.close()
  }
  try {
    for (const [index, address] of addresses.entries()) {
      const server = createDoor()
      await listenOn(server, first + index, address)
      servers.push(server)
      attend(server, address.listener, accept)
    }
  } catch (error) {
    close()
    throw error
  }
  return { addresses: [...addresses], close }
}

function listenOn(server: Server, descriptor: number, address: OpenPort): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => void listenError(error, address.listener, address).then(reject, reject)
    server.once('error', onError)
    // Node reads the backlog of an inherited port from its own argument alone.
    server.listen({ fd: descriptor }, BACKLOG, () => {
      server.off('error', onError)
      resolve()
    })
  })
}
