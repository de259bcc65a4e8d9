/** One connection of a socketmap client: requests are answered one after the other, and no more is read while an answer is due. */
import type { Duplex } from 'node:stream'
import { readNetstring, writeNetstring } from './netstring.ts'

/**
 * Of one request. Postfix reads lines of up to 2048 octets (line_length_limit), so that no address is longer, and the name of the map is
 * short. A larger value would let another client use more memory.
 */
export const MAX_REQUEST_BYTES = 4096

/**
 * From one request to the next, or to the end of a reply that is not read. Postfix closes an idle connection after 10 s and any other after
 * 100 s (socketmap_table(5)), so that the end comes from its side.
 */
export const IDLE_MS = 120_000

/** Why a connection ended. */
export type ConnectionEnd = 'closed' | 'malformed'

/**
 * Serves until the client closes, is silent for too long, or sends what is no request. Closes the stream in every case.
 * @param answer of one request; undefined for what is none. It must not throw.
 */
export async function serveConnection(
  stream: Duplex,
  answer: (payload: Buffer) => Promise<string | undefined>,
  idleMs = IDLE_MS,
): Promise<ConnectionEnd> {
  const idle = setTimeout(() => stream.destroy(), idleMs)
  stream.on('error', () => undefined) // ends the loop below as well
  stream.once('close', () => clearTimeout(idle))
  try {
    return await serveRequests(stream, answer, () => idle.refresh())
  } catch {
    return 'closed'
  } finally {
    // Replies that are written already still go out; a client that does not read them is ended by the timer.
    stream.end(() => stream.destroy())
  }
}

async function serveRequests(
  stream: Duplex,
  answer: (payload: Buffer) => Promise<string | undefined>,
  onRequest: () => void,
): Promise<ConnectionEnd> {
  let pending: Buffer = Buffer.alloc(0)
  // The loop reads the next chunk only when each request of the last one is answered: a chunk of 64 KiB bounds what waits.
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      const read = readNetstring(pending, MAX_REQUEST_BYTES)
      if (read === 'more') break
      if (read === 'malformed') return 'malformed'
      pending = pending.subarray(read.length)
      onRequest()
      const reply = await answer(read.payload)
      if (reply === undefined) return 'malformed'
      if (stream.destroyed) return 'closed'
      if (!stream.write(writeNetstring(reply))) await drained(stream)
    }
  }
  return 'closed'
}

/** Settles when the client has read enough, or the stream is closed. */
function drained(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
  })
}
