/** What all bound ports share: how the server is created, and the text of an error if a port cannot be opened. */
import { createServer, type Server, type Socket } from 'node:net'
import type { ListenAddress } from '../config/settings.ts'
import { systemCode } from '../errors.ts'
import { familyOf, hostPort } from '../net/address.ts'
import { findPortHolder } from '../net/port-holder.ts'

/** Connections that wait in the kernel to be accepted, at most: a wave of clients, or the time that a worker takes to start again. */
export const BACKLOG = 4096

/** Takes over what comes of an open port. Each gets the name of its listener. */
export type Accept = {
  onConnection: (socket: Socket, listener: string) => void
  /** A connection could not be accepted. The port stays open. */
  onError: (error: Error, listener: string) => void
}

/** Each family has a socket of its own: `::` must not take the IPv4 port as well. */
export function listenAt(server: Server, { host, port }: { host: string; port: number }): void {
  server.listen({ host, port, ipv6Only: familyOf(host) === 6, backlog: BACKLOG })
}

export function createDoor(): Server {
  return createServer({ allowHalfOpen: true, noDelay: true })
}

/** Whether the machine merely lacks the address family, and the other one was asked for too. */
export function isMissingFamily(error: unknown, { optional }: ListenAddress): boolean {
  const code = systemCode(error)
  return optional && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL')
}

/**
 * @param what was to listen, such as `listener imap`
 * @returns what the operator is told, with the way out
 */
export async function listenError(
  error: unknown,
  what: string,
  { host, port }: { host: string; port: number },
): Promise<Error> {
  const code = systemCode(error)
  const why = whyNotBound(code, code === 'EADDRINUSE' ? await findPortHolder(port) : undefined)
  return new Error(`${what}: cannot listen on ${hostPort(host, port)}: ${why}`)
}

/** @param holder the program that has the port, where that is known */
export function whyNotBound(code: string, holder?: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return `the port is in use${holder === undefined ? '' : ` by ${holder}`}; stop that program or choose another port (EADDRINUSE)`
    case 'EACCES':
      return `ports below 1024 need a right that this process lacks; choose another port, or grant it: setcap cap_net_bind_service=+ep ${process.execPath} (EACCES)`
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address; see "ip address" for those that it has, or use 0.0.0.0 or [::] (EADDRNOTAVAIL)'
    default:
      return code
  }
}

/** @returns the descriptor of a listening server, as the runtime keeps it; undefined if it has no such field */
export function descriptorOf(server: Server): number | undefined {
  const handle: unknown = Reflect.get(server, '_handle')
  const descriptor: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined
  return typeof descriptor === 'number' && descriptor >= 0 ? descriptor : undefined
}
