/** Writes one chunk to the other side, with back-pressure. */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Reads } from '../net/lean-socket.ts'

/** @param reads of `from` */
export function carry(chunk: Buffer, from: Socket, to: Socket, reads: Reads): void {
  const waited = to.writableLength > 0
  if (!to.write(chunk)) from.pause()
  // What could not be written at once lies in the chunk until it is; TLS has made something else of it by now.
  if (waited || (to.writableLength > 0 && !(to instanceof TLSSocket))) reads.keep()
}
