/**
 * Finds UNAUTHENTICATE (RFC 8437) among what a client sends after login, and COMPRESS (RFC 4978), behind which it could hide. It would
 * bring the session back before login, where the next user would get in past routing, limits and logs. Only back ends that announce
 * the command get this guard.
 */
import type { SessionGuard } from '../protocol.ts'
import { parseLiteralMarker } from './parse.ts'

const LF = 10

/** How much is kept of a line's beginning, which names the command, and of its end, which announces a literal. */
const MAX_KEPT = 128

/** Servers differ in how they read numbers of more than 31 bits, and no mailbox holds such a message. */
const MAX_LITERAL_BYTES = 2 ** 31

const FORBIDDEN = /\bUNAUTHENTICATE\b|\bCOMPRESS\s+DEFLATE\b/i

/** A command as the grammar has it: tag, name, arguments. Servers that read more than the grammar read other lines in their own way. */
const COMMAND = /^[!-~]+ +([A-Za-z]+)(?: .*)?$/

/** A literal begins behind a space, a parenthesis, or the tilde of RFC 3516. */
const LITERAL = /[ (~]\{\d+\+\}$/

/**
 * @returns a function that says `false` at the command, or at a line with the word in it that is no command by the grammar. Octets of
 * non-synchronising literals are passed over, since the server must read them as such (RFC 7888 4). Those of synchronising ones are
 * not: a server that has refused the literal reads the same octets as commands, and only it knows. Mail text with the word in the place
 * of a command is therefore cut off, in the one place where that is the safe side.
 */
export function createUnauthenticateGuard(): SessionGuard {
  let line = ''
  // in what was left out of a long line's middle
  let wordLeftOut = false
  // a quoted string that does not end is an error, and what stands in it announces nothing
  let quoted = false
  let escaped = false
  let literalBytes = 0
  // While IDLE waits for its DONE (RFC 2177) a server takes no literal, and reads what follows as commands.
  let idling = false

  function mayPass(text: string): boolean {
    const name = COMMAND.exec(text)?.[1]?.toUpperCase()
    const hasWord = wordLeftOut || FORBIDDEN.test(text)
    if (hasWord && (name === undefined || name === 'UNAUTHENTICATE' || name === 'COMPRESS')) return false
    if (idling) {
      idling = !/^DONE$/i.test(text)
      return true
    }
    idling = name === 'IDLE'
    const marker = name !== undefined && !quoted && LITERAL.test(text) ? parseLiteralMarker(text) : undefined
    literalBytes = marker?.bytes ?? 0
    return literalBytes < MAX_LITERAL_BYTES
  }

  function keep(more: string): void {
    for (const character of more) {
      if (character === '"' && !escaped) quoted = !quoted
      escaped = quoted && character === '\\' && !escaped
    }
    line += more
    if (line.length <= 2 * MAX_KEPT) return
    wordLeftOut ||= FORBIDDEN.test(line)
    line = line.slice(0, MAX_KEPT) + line.slice(-MAX_KEPT)
  }

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
      keep(Buffer.from(chunk.buffer, chunk.byteOffset + at, stop - at).toString('latin1'))
      at = stop + 1
      if (end === -1) break
      if (!mayPass(line.replace(/\r$/, ''))) return false
      line = ''
      wordLeftOut = quoted = escaped = false
    }
    return true
  }
}
