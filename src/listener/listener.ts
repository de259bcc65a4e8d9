/** Bound ports. All are opened or none: what cannot be bound is said in one line that names the way out. Parses nothing, serves nobody. */
import { createServer, type Server, type Socket } from 'node:net'
import type { ListenAddress, ListenerSettings } from '../config/settings.ts'
import { systemCode } from '../errors.ts'
import { findPortHolder } from '../net/port-holder.ts'

/** Probes of an idle client: phones behind address translation are forgotten after about five minutes of silence. */
const KEEPALIVE_MS = 120_000

export type Listeners = {
  addresses: { listener: string; host: string; port: number }[]
  /** Stops accepting; connections that were accepted live on. */
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
  const addresses: Listeners['addresses'] = []
  const close = (): void => {
    for (const server of servers) server.close()
  }
  try {
    for (const listener of settings) {
      for (const address of listener.listen) {
        const server = createServer({
          allowHalfOpen: true,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: KEEPALIVE_MS,
        })
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
function bind(server: Server, listener: ListenerSettings, { host, port, optional }: ListenAddress): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('listening', () => resolve(true))
    server.once('error', (error) => {
      const code = systemCode(error)
      if (optional && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL')) return resolve(false)
      void explain(code, port).then((why) => {
        const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
        reject(new Error(`listener ${listener.name}: cannot listen on ${address}: ${why}`))
      }, reject)
    })
    // Each family has a socket of its own: `::` must not take the IPv4 port as well.
    server.listen({ host, port, ipv6Only: host.includes(':'), backlog: 4096 })
  })
}

async function explain(code: string, port: number): Promise<string> {
  switch (code) {
    case 'EADDRINUSE': {
      const holder = await findPortHolder(port)
      return `the port is in use${holder === undefined ? '' : ` by ${holder}`}; stop that program or choose another port (EADDRINUSE)`
    }
    case 'EACCES':
      return `ports below 1024 need a right that this process lacks; choose another port, or grant it: setcap cap_net_bind_service=+ep ${process.execPath} (EACCES)`
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address; see "ip address" for those that it has, or use 0.0.0.0 or [::] (EADDRNOTAVAIL)'
    default:
      return code
  }
}
