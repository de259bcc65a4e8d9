/** Connections over `limits.max_connections`: told to come back later, and closed, whether or not the client reads that. */
import type { Socket } from 'node:net'
import type { ListenerSettings } from '../config/settings.ts'
import { protocols } from '../protocol/protocols.ts'
import type { SessionEvents } from './events.ts'

/** A client reads a line within this, or does without it. */
const LINGER_MS = 2000
/** The most that may linger: they have descriptors of those that are kept beside the sessions. Others are closed without a word. */
const MOST_LINGERING = 32

/** @param max the limit that is reached */
export type TurnAway = (socket: Socket, listener: ListenerSettings, max: number) => void

export function createTurnAway(events: SessionEvents): TurnAway {
  let lingering = 0

  return (socket, { name, protocol, tls }, max) => {
    events.emit({ type: 'turned-away', listener: name, max })
    // Inside TLS there is nothing to be said before a handshake, which is what an overload must not cost.
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
