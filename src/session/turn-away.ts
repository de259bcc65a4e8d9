/**
 * Connections that are not served: over `limits.max_connections`, or rejected by a limit of the listener. Each gets one line in place of
 * the greeting, or with TLS from the first byte one alert, and is closed whether or not the client reads it.
 */
import type { Socket } from 'node:net'
import type { ListenerSettings } from '../config/settings.ts'
import type { Rejection } from '../limits/rejection.ts'
import type { TurnedAwayGoodbye } from '../protocol/protocol.ts'
import { protocols } from '../protocol/protocols.ts'
import type { SessionEvents } from './events.ts'

/** The time for the client to read the line. A larger value would keep the descriptors of an overload longer. */
const LINGER_MS = 2000
/** The most connections in this state: their descriptors are of those that are kept beside the sessions. Further ones are closed as soon as the line is sent. */
const MOST_LINGERING = 32

export type TurnAway = {
  /** @param max the number of connections that is reached */
  full(socket: Socket, listener: ListenerSettings, max: number): void
  /** @param client the address that is rejected */
  rejected(socket: Socket, listener: ListenerSettings, client: string, rejection: Rejection): void
}

export function createTurnAway(events: SessionEvents): TurnAway {
  let lingering = 0

  function send(socket: Socket, text: string): void {
    if (lingering >= MOST_LINGERING) {
      socket.end(text, 'latin1', () => socket.destroy())
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
    socket.end(text, 'latin1')
  }

  return {
    full(socket, listener, max) {
      events.emit({ type: 'turned-away', listener: listener.name, max })
      send(socket, lastWords(listener, 'too-many-connections'))
    },
    rejected(socket, listener, client, rejection) {
      events.emit({ type: 'rejected', listener: listener.name, client, rejection })
      send(socket, lastWords(listener, goodbyeOf(rejection)))
    },
  }
}

export function goodbyeOf({ kind, limit }: Rejection): TurnedAwayGoodbye {
  if (kind === 'denied') return 'not-allowed'
  return limit === 'max_connections' ? 'too-many-connections' : 'over-limit'
}

/** What a client reads in place of the greeting. With TLS from the first byte a line would need a handshake, which costs too much during an overload. */
export function lastWords(
  { protocol, tls }: Pick<ListenerSettings, 'protocol' | 'tls'>,
  why: TurnedAwayGoodbye,
): string {
  return tls === 'implicit' || tls === 'passthrough' ? ALERTS[why] : protocols[protocol].turnedAway(why)
}

/** RFC 8446 6: an alert may be the first record of a server, in clear. Type 21, version 3.3 (5.1), two octets, level fatal. */
function fatalAlert(description: number): string {
  return String.fromCharCode(21, 3, 3, 0, 2, 2, description)
}

/** RFC 8446 6.2: access_denied, and internal_error for a limit that has nothing to do with the peer's messages. */
const ALERTS: Readonly<Record<TurnedAwayGoodbye, string>> = {
  'not-allowed': fatalAlert(49),
  'over-limit': fatalAlert(80),
  'too-many-connections': fatalAlert(80),
}
