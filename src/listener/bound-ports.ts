/**
 * Ports that one process binds and others accept from. As long as it holds them, the ports, and the connections that wait at them,
 * outlive the processes that accept; it never accepts itself, so that a connection costs it nothing. Where a process cannot hold a port
 * like that (`runtime.ts`), the others bind it by `node:cluster`, and it outlives each of them, but not all.
 */
import type { SendHandle } from 'node:child_process'
import net from 'node:net'
import { systemCode } from '../errors.ts'
import { familyOf } from '../net/address.ts'
import { BINDS_ALONE, BINDS_BY_CLUSTER } from '../runtime.ts'
import { BACKLOG, listenAt, listenError, isMissingFamily } from './door.ts'
import { createDoors, type Doors } from './doors.ts'
import { NONE_INHERITED, passOn, type InheritedSocket, type InheritedSockets } from './inherited.ts'
import { checkOverlap, findNewPlaces, keyOf, type NamedPort, type OpenPort, type Place } from './ports.ts'

/** A port as this process has it open. */
export type BoundPort = OpenPort & {
  /** of this binding: a port that is closed and bound again has another one */
  id: symbol
  /** What holds the port in this process, and goes over the channel; both are undefined where the workers bind by `node:cluster`. */
  descriptor: number | undefined
  handle: SendHandle | undefined
  close: () => void
}

/** What another process is told of them. */
export function addressesOf(ports: readonly OpenPort[]): OpenPort[] {
  return ports.map(addressOf)
}

export function addressOf({ listener, host, port }: OpenPort): OpenPort {
  return { listener, host, port }
}

/** For another process to inherit. @throws Error where this process does not hold them itself */
export function inheritable(ports: readonly BoundPort[]): InheritedSocket[] {
  return passOn(
    ports,
    ports.map(({ descriptor }) => descriptor),
  )
}

/** Ports that are bound for settings which are not in force yet. Exactly one of both functions is called. */
export type PreparedBinding = { added: BoundPort[]; commit: () => void; discard: () => void }

export type BoundPorts = {
  /** with the listeners that they serve now */
  list: () => readonly BoundPort[]
  /** Binds the ports that are new in these. @throws Error with a message for the operator; then nothing has changed */
  prepare: (ports: readonly NamedPort[]) => Promise<PreparedBinding>
  /** Closes them in this process; processes that inherited them keep them open. May be called twice. */
  close: () => void
}

/**
 * @param inherited gives the ports that this process has inherited, which are not bound again
 * @throws Error with a message for the operator; no port is left bound then
 */
export async function bindPorts(
  ports: readonly NamedPort[],
  inherited: InheritedSockets = NONE_INHERITED,
): Promise<BoundPorts> {
  if (!BINDS_ALONE && !BINDS_BY_CLUSTER)
    throw new Error('workers: more than 1 needs Node 26.4 or later (net.BoundSocket)')
  let bound: BoundPort[] = []

  async function prepare(wanted: readonly NamedPort[]): Promise<PreparedBinding> {
    const { kept, added: places } = findNewPlaces(bound, wanted)
    const added: BoundPort[] = []
    const discard = (): void => {
      for (const port of added) port.close()
    }
    for (const place of places) {
      try {
        checkOverlap(place, bound)
        const port = await takeOrBind(place, inherited)
        if (port) added.push(port)
      } catch (error) {
        discard()
        throw error
      }
    }
    return {
      added,
      discard,
      commit() {
        const names = new Map(kept.map((port) => [keyOf(port), port.listener]))
        const stay = bound.flatMap((port) => {
          const listener = names.get(keyOf(port))
          if (listener !== undefined) return [{ ...port, listener }]
          port.close()
          return []
        })
        bound = [...stay, ...added]
      },
    }
  }

  const first = await prepare(ports)
  first.commit()
  return {
    list: () => bound,
    prepare,
    close() {
      for (const port of bound) port.close()
      bound = []
    },
  }
}

/** @returns undefined where the machine lacks the address family and the other one was asked for too, or where an inherited socket accepts for both */
async function takeOrBind(place: Place, inherited: InheritedSockets): Promise<BoundPort | undefined> {
  const { listener, host, port } = place
  const descriptor = inherited.take(place)
  if (BINDS_BY_CLUSTER) return findBindable(place, descriptor)
  try {
    // A socket that holds the port reads nothing: it is neither connected nor does it listen here.
    const holder = new net.Socket(
      descriptor === undefined
        ? // Each family has a socket of its own: `::` must not take the IPv4 port as well.
          { handle: new net.BoundSocket({ host, port, ipv6Only: familyOf(host) === 6 }) }
        : { fd: descriptor, readable: false, writable: false },
    )
    return { listener, host, port, id: Symbol(), ...heldBy(holder), close: () => holder.destroy() }
  } catch (error) {
    if (isMissingFamily(error, place)) return undefined
    if (systemCode(error) === 'EADDRINUSE' && inherited.mayCover(place)) return undefined
    throw await listenError(error, `listener ${listener}`, place)
  }
}

/** `server.listen` and the channel between processes take the handle of a socket; Node's types do not name it. */
function heldBy(holder: net.Socket): { descriptor: number; handle: SendHandle } {
  const { _handle: handle } = holder as net.Socket & { _handle: SendHandle & { fd: number } }
  return { descriptor: handle.fd, handle }
}

/**
 * Opens the port for a moment, so that an error is reported before any worker is started for it.
 * @returns a port that the workers bind; otherwise as `takeOrBind`
 */
async function findBindable(place: Place, descriptor: number | undefined): Promise<BoundPort | undefined> {
  const { listener, host, port } = place
  if (descriptor !== undefined)
    throw new Error('workers: more than 1 cannot take the sockets of a service manager with Bun: use 1, or Node')
  const doors = createDoors()
  const isOpen = await doors.open(
    place,
    (server) => listenAt(server, place),
    (error) => isMissingFamily(error, place),
  )
  doors.close()
  if (!isOpen) return undefined
  return { listener, host, port, id: Symbol(), descriptor: undefined, handle: undefined, close: () => undefined }
}

/**
 * Opens ports that another process has bound and this one has inherited.
 * @param first the descriptor of the first of them; the others follow it
 * @throws Error with a message for the operator
 */
export async function openInherited(doors: Doors, ports: readonly OpenPort[], first: number): Promise<void> {
  for (const [index, port] of ports.entries()) {
    if (BINDS_BY_CLUSTER) await doors.open(port, (server) => listenAt(server, port))
    // Node reads the backlog of an inherited port from its own argument alone.
    else await doors.open(port, (server) => server.listen({ fd: first + index }, BACKLOG))
  }
}

/**
 * Opens a port that came over the channel.
 * @param handle undefined where the workers bind it by `node:cluster`
 * @throws Error with a message for the operator
 */
export async function openSent(doors: Doors, port: OpenPort, handle: unknown): Promise<void> {
  await doors.open(port, (server) => (handle === undefined ? listenAt(server, port) : server.listen(handle, BACKLOG)))
}
