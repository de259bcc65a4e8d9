/** Bound ports. All are opened or none: what cannot be bound is said in one line that names the way out. Parses nothing, serves nobody. */
import type { Server, Socket } from 'node:net'
import type { ListenAddress, ListenerSettings } from '../config/settings.ts'
import { BACKLOG, complain, createDoor, isForgiven } from './door.ts'

export type OpenPort = { listener: string; host: string; port: number }

export type Listeners = {
  addresses: OpenPort[]
  /** Stops accepting; connections that were accepted live on. May be called twice. */
  close(): void
}

/**
 * @param onConnection takes over each accepted socket, and hears the name of its listener
 * @throws Error with a message for the operator; no port is left open then
 */
export async function openListeners(
  settings: readonly ListenerSettings[],
  onConnection: (socket: Socket, listener: string) => void,
): Promise<Listeners> {
  const servers: Server[] = []
  const addresses: OpenPort[] = []
  const close = (): void => {
    for (const server of servers) server.close()
  }
  try {
    for (const listener of settings) {
      for (const address of listener.listen) {
        const server = createDoor()
        if (!(await bind(server, listener, address))) continue
        servers.push(server)
        addresses.push({ listener: listener.name, host: address.host, port: address.port })
        server.on('connection', (socket) => onConnection(socket, listener.name))
      }
    }
  } catch (error) {
    close()
    throw error
  }
  return { addresses, close }
}

/** @returns false where the machine lacks the address family and the other one was asked for too */
function bind(server: Server, listener: ListenerSettings, address: ListenAddress): Promise<boolean> {
  const { host, port } = address
  return new Promise((resolve, reject) => {
    server.once('listening', () => resolve(true))
    server.once('error', (error) => {
      if (isForgiven(error, address)) return resolve(false)
      void complain(error, listener.name, address).then(reject, reject)
    })
    // Each family has a socket of its own: `::` must not take the IPv4 port as well.
    server.listen({ host, port, ipv6Only: host.includes(':'), backlog: BACKLOG })
  })
}
