/** The side of a relay that is still open after the other has closed. It is destroyed when it stops reading. */
import type { Socket } from 'node:net'
import { LAST_BYTES_MS } from '../net/closing.ts'

/** How long a side may stay silent after the other has closed its half: enough for a last answer. A larger value would keep dead peers longer. */
export const HALF_CLOSED_MS = 120_000

/**
 * How long the last open side may read nothing while mail for it is still buffered. On a slow link the kernel's buffer takes seconds to
 * empty, and only then accepts more. A larger value would let a client that never reads hold its descriptor longer.
 */
export const LAST_MAIL_MS = 30_000

export class LastSide {
  readonly socket: Socket
  #waiting = Infinity
  #sinceMs = 0

  constructor(socket: Socket) {
    this.socket = socket
  }

  /** Destroys the socket after it has read nothing for too long. @param mostMs the limit while octets are buffered for it */
  sweep(nowMs: number, mostMs: number): void {
    const waiting = this.socket.writableLength
    if (waiting < this.#waiting) {
      this.#waiting = waiting
      this.#sinceMs = nowMs
    }
    // A side that has received everything only has to close its half.
    if (nowMs - this.#sinceMs >= (waiting > 0 ? mostMs : LAST_BYTES_MS)) this.socket.destroy()
  }
}
