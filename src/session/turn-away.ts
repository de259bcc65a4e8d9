/** Connections over `limits.max_connections`: get a temporary failure, and are closed whether or not the client reads it. */
import type { Socket } from 'node:net'
import type { ListenerSettings } from '../config/settings.ts'
import { protocols } from '../protocol/protocols.ts'
import type { SessionEvents } from './events.ts'

/** The time for the client to read the line. A larger value would keep the descriptors of an overload longer. */
const LINGER_MS = 2000
/** The most connections in this state: their descriptors are of those that are kept beside the sessions. Further ones are closed without a line. */
const MOST_LINGERING = 32

/** @param max the limit that is reached */
export type TurnAway = (socket: Socket, listener: ListenerSettings, max: number) => void

export function createTurnAway(events: SessionEvents): TurnAway {
  let lingering = 0

  return (socket, { name, protocol, tls }, max) => {
    events.emit({ type: 'turned-away', listener: name, max })
    // Inside TLS a line needs a handshake, which costs too much during an overload.
    if (tls === 'implicit' || tls === 'passthrough' || lingering >= MOST_LINGERING) {
      socket.destroy()
      return
    }
    lingering++
    const timer = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.once('close', () => {
      clearTimeout(timer)
      lingering--
    })
    // Read on until the client closes: to close with unread bytes is a reset, which can take the line away from the client.
    socket.once('end', () => socket.destroy())
    socket.resume()
    socket.end(protocols[protocol].turnedAway, 'latin1')
  }
}
