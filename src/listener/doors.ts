/**
 * The open ports of this process. A port that is opened for a reload serves nothing until the new settings are in force: its connections
 * wait for that, which takes milliseconds.
 */
import type { Server, Socket } from 'node:net'
import { createDoor, descriptorOf, listenError, type Accept } from './door.ts'
import { keyOf, type OpenPort } from './ports.ts'

/** Connections that wait at one port for the end of a reload, at most. They have sent nothing that was read, and take a few kilobytes each. */
const MOST_HELD = 1000

export type Doors = {
  /** Where connections go from now on. */
  attend: (accept: Accept) => void
  /**
   * Opens a port, and holds its connections until `serve` names it.
   * @param listen makes the server listen
   * @param isForgiven whether the port may stay closed after this error
   * @returns false if it stays closed
   * @throws Error with a message for the operator
   */
  open: (
    place: OpenPort,
    listen: (server: Server) => void,
    isForgiven?: (error: unknown) => boolean,
  ) => Promise<boolean>
  has: (place: Place) => boolean
  /** of the open port, for another process to inherit; undefined where the runtime does not tell it */
  descriptorAt: (place: Place) => number | undefined
  /** These ports serve the listeners named in them from now on. All others are closed; connections that were accepted live on. */
  serve: (ports: readonly OpenPort[]) => void
  /** Closes those of these ports that do not serve. */
  shut: (ports: readonly Place[]) => void
  /** May be called twice. */
  close: () => void
}

type Place = { host: string; port: number }

/** `listener`: the one that it serves; undefined while it holds its connections */
type Door = { server: Server; name: string; listener: string | undefined; held: Socket[] }

export function createDoors(): Doors {
  const doors = new Map<string, Door>()
  let accept: Accept | undefined
  let isClosed = false

  function enter(door: Door, socket: Socket): void {
    if (door.listener !== undefined && accept) return accept.onConnection(socket, door.listener)
    socket.on('error', () => undefined)
    if (door.held.length < MOST_HELD) door.held.push(socket)
    else socket.destroy()
  }

  function closeDoor(key: string, { server, held }: Door): void {
    doors.delete(key)
    server.close()
    for (const socket of held.splice(0)) socket.destroy()
  }

  return {
    attend: (given) => (accept = given),
    open(place, listen, isForgiven = () => false) {
      const server = createDoor()
      const door: Door = { server, name: place.listener, listener: undefined, held: [] }
      return new Promise((resolve, reject) => {
        const onError = (error: Error): void => {
          if (isForgiven(error)) return resolve(false)
          void listenError(error, `listener ${place.listener}`, place).then(reject, reject)
        }
        server.once('error', onError)
        server.once('listening', () => {
          server.off('error', onError)
          server.on('error', (error) => accept?.onError(error, door.listener ?? door.name))
          server.on('connection', (socket) => enter(door, socket))
          const key = keyOf(place)
          const before = doors.get(key)
          if (before) closeDoor(key, before)
          doors.set(key, door)
          if (isClosed) closeDoor(key, door)
          resolve(true)
        })
        listen(server)
      })
    },
    has: (place) => doors.has(keyOf(place)),
    descriptorAt(place) {
      const door = doors.get(keyOf(place))
      return door && descriptorOf(door.server)
    },
    serve(ports) {
      const names = new Map(ports.map((port) => [keyOf(port), port.listener]))
      for (const [key, door] of doors) {
        const listener = names.get(key)
        if (listener === undefined) {
          closeDoor(key, door)
          continue
        }
        door.listener = listener
        for (const socket of door.held.splice(0)) if (!socket.destroyed) enter(door, socket)
      }
    },
    shut(ports) {
      for (const place of ports) {
        const door = doors.get(keyOf(place))
        if (door && door.listener === undefined) closeDoor(keyOf(place), door)
      }
    },
    close() {
      isClosed = true
      for (const [key, door] of doors) closeDoor(key, door)
    },
  }
}
