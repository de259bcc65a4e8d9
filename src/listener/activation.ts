/** Socket activation (sd_listen_fds(3)): which sockets the service manager has opened for this process, and the listener that each is for. */
import { hostPort } from '../net/address.ts'
import { listeningAddress } from '../net/listening-socket.ts'
import { isSamePort, type InheritedSocket } from './inherited.ts'
import type { NamedPort } from './ports.ts'

type Address = { host: string; port: number }

/** A socket as the service manager gives it. */
export type GivenSocket = {
  /** `FileDescriptorName=` of its unit; undefined: it has none */
  name: string | undefined
  descriptor: number
}

/**
 * Holds the sockets of the service manager against the ports of the configuration.
 * @param addressOf the address that a descriptor listens on; undefined: it is no listening TCP socket
 * @throws Error with a message for the operator, for each socket that no listener would take
 */
export async function matchGiven(
  given: readonly GivenSocket[],
  ports: readonly NamedPort[],
  addressOf: (descriptor: number) => Promise<Address | undefined> = listeningAddress,
): Promise<InheritedSocket[]> {
  const sockets: InheritedSocket[] = []
  for (const { name, descriptor } of given) {
    const what = name === undefined ? `the socket on descriptor ${descriptor}` : `the socket ${JSON.stringify(name)}`
    const address = await addressOf(descriptor)
    if (!address) {
      throw new Error(`socket activation: ${what} is not a listening TCP socket: use ListenStream= with a port`)
    }
    const where = hostPort(address.host, address.port)
    const meant = name === undefined ? ports : ports.filter((port) => port.name === listenerOf(name))
    if (meant.length === 0) {
      const names = ports.map((port) => port.name).join(', ')
      throw new Error(
        `socket activation: ${what} (${where}) matches no listener: FileDescriptorName= of its unit must be one of ${names}`,
      )
    }
    if (!meant.some(({ listen }) => listen.some((one) => isSamePort(one, address)))) {
      const of = name === undefined ? 'no listener listens there' : `listener ${listenerOf(name)} does not listen there`
      throw new Error(
        `socket activation: ${what} is on ${where}, and ${of}: ListenStream= of the unit and "listen" must have the same address`,
      )
    }
    if (sockets.some((other) => isSamePort(other, address))) {
      throw new Error(`socket activation: two sockets are on ${where}: use the address in one unit`)
    }
    sockets.push({ ...address, descriptor })
  }
  return sockets
}

/** Without FileDescriptorName= systemd gives the name of the unit: `mailmux-imap.socket` is for the listener `imap`. */
function listenerOf(name: string): string {
  return name.replace(/^mailmux-(?=.)/u, '').replace(/(?<=.)\.socket$/u, '')
}

/** The first descriptor of them: SD_LISTEN_FDS_START. */
const FIRST_GIVEN = 3
/** The name of a socket without one, by sd_listen_fds_with_names(3). */
const UNNAMED = 'unknown'

/** @returns the sockets that are meant for this process. @throws Error with a message for the operator */
export function readGiven(env: Readonly<Record<string, string | undefined>>, pid: number): GivenSocket[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = env
  if (LISTEN_FDS === undefined || LISTEN_PID !== String(pid)) return []
  const count = /^\d{1,4}$/u.test(LISTEN_FDS) ? Number(LISTEN_FDS) : -1
  if (count < 0) throw new Error(`socket activation: LISTEN_FDS is no number: ${JSON.stringify(LISTEN_FDS)}`)
  const names = LISTEN_FDNAMES === undefined ? undefined : LISTEN_FDNAMES.split(':')
  if (names && names.length !== count) {
    throw new Error(`socket activation: LISTEN_FDNAMES has ${names.length} names, and LISTEN_FDS says ${count} sockets`)
  }
  return Array.from({ length: count }, (_, index) => {
    const name = names?.[index]
    return { name: name === UNNAMED || name === '' ? undefined : name, descriptor: FIRST_GIVEN + index }
  })
}
