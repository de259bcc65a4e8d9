/**
 * The ports of the listeners, where one process binds and serves them. All are opened or none. A port that cannot be bound is an error of
 * one line with the remedy. Parses nothing, serves no client.
 */
import { systemCode } from '../errors.ts'
import { BACKLOG, isMissingFamily, listenAt, type Accept } from './door.ts'
import { createDoors, type Doors } from './doors.ts'
import { NONE_INHERITED, type InheritedSockets } from './inherited.ts'
import { checkOverlap, findNewPlaces, type NamedPort, type OpenPort, type Place } from './ports.ts'

/** Ports that are open for settings which are not in force yet. Exactly one of both is called. */
export type PreparedPorts = {
  addresses: OpenPort[]
  /** The listeners are served at their new ports from now on, and the ports that they have no more are closed. */
  commit: () => void
  /** Closes what was opened. */
  discard: () => void
}

export type Listeners = {
  addresses: OpenPort[]
  /** of each of them, in the same order, for another process to inherit; undefined where the runtime does not tell it */
  descriptors: () => (number | undefined)[]
  /** Opens the ports that are new in these. @throws Error with a message for the operator; then nothing has changed */
  prepare: (ports: readonly NamedPort[]) => Promise<PreparedPorts>
  /** Stops accepting; connections that were accepted live on. May be called twice. */
  close: () => void
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
  const doors = createDoors()
  doors.attend(accept)
  const listeners: Listeners = {
    addresses: [],
    descriptors: () => listeners.addresses.map(doors.descriptorAt),
    async prepare(wanted) {
      const { kept, added } = findNewPlaces(listeners.addresses, wanted)
      const opened: OpenPort[] = []
      const addresses = [...kept]
      try {
        for (const place of added) {
          checkOverlap(place, listeners.addresses)
          if (!(await openPort(doors, place, inherited))) continue
          const { listener, host, port } = place
          opened.push({ listener, host, port })
          addresses.push({ listener, host, port })
        }
      } catch (error) {
        doors.shut(opened)
        throw error
      }
      return {
        addresses,
        commit() {
          listeners.addresses = addresses
          doors.serve(addresses)
        },
        discard: () => doors.shut(opened),
      }
    },
    close: doors.close,
  }
  const first = await listeners.prepare(ports)
  first.commit()
  return listeners
}

/** @returns false where the machine lacks the address family and the other one was asked for too, or where an inherited socket accepts for both */
function openPort(doors: Doors, place: Place, inherited: InheritedSockets): Promise<boolean> {
  const descriptor = inherited.take(place)
  return doors.open(
    place,
    (server) => {
      // Node reads the backlog of an inherited port from its own argument alone.
      if (descriptor !== undefined) server.listen({ fd: descriptor }, BACKLOG)
      else listenAt(server, place)
    },
    (error) => isMissingFamily(error, place) || (systemCode(error) === 'EADDRINUSE' && inherited.mayCover(place)),
  )
}
