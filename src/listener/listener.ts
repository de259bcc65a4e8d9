/** Bound ports. All are opened or none. A port that cannot be bound is an error of one line with the remedy. Parses nothing, serves no client. */
import type { Server } from 'node:net'
import type { ListenAddress } from '../config/settings.ts'
import { systemCode } from '../errors.ts'
import { familyOf } from '../net/address.ts'
import { attend, BACKLOG, listenError, createDoor, isMissingFamily, type Accept } from './door.ts'
import { NONE_INHERITED, type InheritedSockets } from './inherited.ts'
import type { NamedPort } from './ports.ts'

export type OpenPort = { listener: string; host: string; port: number }

export type Listeners = {
  addresses: OpenPort[]
  /** Stops accepting; connections that were accepted live on. May be called twice. */
  close(): void
}

/**
 * @param accept called from the moment when its port is open
 * @param inherited gives the ports that this process has inherited, which are not bound again
 * @throws Error with a message for the operator; no port is left open then
 */
export async function openListeners(
  ports: readonly NamedPort[],
  accept: Accept,
  inherited: InheritedSockets = NONE_INHERITED,
): Promise<Listeners> {
  const servers: Server[] = []
  const addresses: OpenPort[] = []
  const close = (): void => {
    for (const server of servers) server.close()
  }
  try {
    for (const listener of ports) {
      for (const address of listener.listen) {
        const server = createDoor()
        if (!(await bind(server, listener, address, inherited))) continue
        servers.push(server)
        addresses.push({ listener: listener.name, host: address.host, port: address.port })
        attend(server, listener.name, accept)
      }
    }
  } catch (error) {
    close()
    throw error
  }
  return { addresses, close }
}

/** @returns false where the machine lacks the address family and the other one was asked for too, or where an inherited socket accepts for both */
function bind(
  server: Server,
  listener: NamedPort,
  address: ListenAddress,
  inherited: InheritedSockets,
): Promise<boolean> {
  const { host, port } = address
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      if (isMissingFamily(error, address)) return resolve(false)
      if (systemCode(error) === 'EADDRINUSE' && inherited.mayCover(address)) return resolve(false)
      void listenError(error, listener.name, address).then(reject, reject)
    }
    server.once('error', onError)
    server.once('listening', () => {
      server.off('error', onError)
      resolve(true)
    })
    const descriptor = inherited.take(address)
    // Node reads the backlog of an inherited port from its own argument alone.
    if (descriptor !== undefined) return void server.listen({ fd: descriptor }, BACKLOG)
    // Each family has a socket of its own: `::` must not take the IPv4 port as well.
    server.listen({ host, port, ipv6Only: familyOf(host) === 6, backlog: BACKLOG })
  })
}
