/** The side of a relay that is still open once the other is closed, and how long it may take for what waits for it. */
import type { Socket } from 'node:net'
import { LAST_BYTES_MS } from '../net/closing.ts'

/**
 * How long the last open side may take nothing of the mail that still waits for it. A slow link empties the kernel's buffer in
 * seconds, and only then takes more from here. A larger value would let a client that never reads hold its descriptor longer.
 */
export const LAST_MAIL_MS = 30_000

export class LastSide {
  readonly socket: Socket
  #waiting = Infinity
  #sinceMs = 0

  constructor(socket: Socket) {
    this.socket = socket
  }

  /** Destroys the socket once it has taken nothing for too long. @param mostMs while octets wait for it */
  sweep(nowMs: number, mostMs: number): void {
    const waiting = this.socket.writableLength
    if (waiting < this.#waiting) {
      this.#waiting = waiting
      this.#sinceMs = nowMs
    }
    // A side that has everything only has to close its half.
    if (nowMs - this.#sinceMs >= (waiting > 0 ? mostMs : LAST_BYTES_MS)) this.socket.destroy()
  }
}
