/**
 * Finds UNAUTHENTICATE (RFC 8437) among what a client sends after login, and COMPRESS (RFC 4978), behind which it could hide. It would bring the session back before login, where the
 * next user would get in past routing, limits and logs. Only back ends that announce the command get this guard.
 */
import type { SessionGuard } from '../protocol.ts'
import { parseLiteralMarker } from './parse.ts'

const LF = 10

/** A tag, the command, a line end; what is longer is another command. Long lines are kept only as far as their end can matter. */
const MAX_KEPT = 128

/**
 * @returns a function that says `false` at the command. Octets of non-synchronising literals are passed over, since the server must
 * read them as such (RFC 7888 4). Those of synchronising ones are not: a server that has refused the literal reads the same octets as
 * commands, and only it knows. Mail text with such a line in it is therefore cut off, in the one place where that is the safe side.
 */
export function createUnauthenticateGuard(): SessionGuard {
  let line = ''
  let literalBytes = 0
  // While IDLE waits for its DONE (RFC 2177) a server takes no literal, and reads what follows as commands.
  let idling = false
  return (chunk) => {
    let at = 0
    while (at < chunk.length) {
      if (literalBytes > 0) {
        const skipped = Math.min(literalBytes, chunk.length - at)
        literalBytes -= skipped
        at += skipped
        continue
      }
      const end = chunk.indexOf(LF, at)
      const stop = end === -1 ? chunk.length : end
      line = keep(line, Buffer.from(chunk.buffer, chunk.byteOffset + at, stop - at).toString('latin1'))
      at = stop + 1
      if (end === -1) break
      const text = line.replace(/\r$/, '')
      line = ''
      if (/^[^ ]+ +(UNAUTHENTICATE|COMPRESS +\S+) *$/i.test(text)) return false
      if (idling) {
        idling = !/^DONE$/i.test(text)
        continue
      }
      idling = /^[^ ]+ +IDLE *$/i.test(text)
      // A command has a tag and a name; what else ends like a literal announces none.
      const marker = /^[^ ]+ +[A-Z]/i.test(text) ? parseLiteralMarker(text) : undefined
      if (marker && !marker.synchronising) literalBytes = marker.bytes
    }
    return true
  }
}

/** The beginning and the end of a line: the one names the command, the other announces a literal. */
function keep(line: string, more: string): string {
  const whole = line + more
  return whole.length <= 2 * MAX_KEPT ? whole : whole.slice(0, MAX_KEPT) + whole.slice(-MAX_KEPT)
}
