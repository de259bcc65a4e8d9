/** Closes sockets within a bounded time, whether or not the peer reads. */
import type { Socket } from 'node:net'

/**
 * How long a peer may take to read the last bytes: a goodbye, an answer, TLS's close_notify. A phone on a bad link needs
 * a second or two. A larger value would let a client that never reads hold a descriptor longer after its session.
 */
export const LAST_BYTES_MS = 5000

/**
 * Sends what waits to be written, then closes `socket`. A peer that does not read is cut off after `withinMs`.
 * @param socket not to be used any more; it may be closed already
 * @param onClosed is called once, when the descriptor is free
 */
export function closeSoon(socket: Socket, onClosed?: () => void, withinMs = LAST_BYTES_MS): void {
  if (socket.closed) return onClosed?.()
  socket.on('error', () => undefined) // an error of a connection that is over changes nothing
  socket.destroySoon()
  // Without the limit `destroySoon` waits until the peer has read everything, TLS's close_notify included.
  const timer = socket.destroyed ? undefined : setTimeout(() => socket.destroy(), withinMs)
  socket.once('close', () => {
    clearTimeout(timer)
    onClosed?.()
  })
}
