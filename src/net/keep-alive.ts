/** TCP keepalive (RFC 9293 3.8.4), for sessions alone: before a login, deadlines find a peer that is gone. */
import type { Socket } from 'node:net'

/** Phones behind address translation are forgotten after about five minutes of silence, and middleboxes forget a silent flow as soon. */
const SILENCE_MS = 120_000

/** To be called once a session has lasted a while: a short one needs no probes, which cost four system calls for each socket. */
export function keepAlive(...sockets: Socket[]): void {
  for (const socket of sockets) socket.setKeepAlive(true, SILENCE_MS)
}
