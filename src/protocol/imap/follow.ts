/**
 * Follows an IMAP session after login so closely that the back end cannot read a command elsewhere than here. It lets one command through
 * at a time and waits for its tagged answer, so that each octet has one possible meaning. The back end's own answer decides what a
 * literal is: a non-synchronising one (RFC 7888) is announced to the back end as a synchronising one (RFC 9051 4.3).
 */
import type { SessionGuard } from '../protocol.ts'
import { createResponseReader } from './responses.ts'

/** Servers differ in how they read numbers of more than 31 bits, and no mailbox holds such a message. */
const MAX_LITERAL_BYTES = 2 ** 31
/** Cyrus takes tags of up to 1,023 octets; mail clients send four to eight. */
const MAX_TAG_BYTES = 1000
/** `{2147483647}`, and an octet more to tell that something follows it. */
const MAX_MARKER_BYTES = 13
/** The longest command names of the RFCs have 15 letters. */
const MAX_NAME_BYTES = 64

const NUL = 0
const LF = 10
const CR = 13
const SPACE = 32
const QUOTE = 34
const PLUS = 43
const BACKSLASH = 92
const OPENING_BRACE = 123

/** RFC 9051 9: tag = 1*<any ASTRING-CHAR except "+">. */
const TAG = /^[!#$&',-[\]-z|~]*$/
const NAME = /^[A-Za-z0-9._-]*$/
/** A literal's announcement with the sign left out. A leading zero makes the number octal for some readers. */
const MARKER = /^\{(0|[1-9]\d*)\}$/

/** What the client's next octet belongs to. */
type Position =
  | 'tag'
  | 'name'
  | 'arguments'
  | 'literal'
  /** the line after IDLE */
  | 'done'
  /** a new command, or a literal that the back end has not accepted yet: the back end has to speak first */
  | 'nothing'

/** What becomes of an octet, or why the session has to end there. */
type Verdict = 'pass' | 'drop' | 'forbidden' | 'ambiguous'

type Literal = { bytes: number; synchronising: boolean }

/**
 * @param mayRun is asked once for each command, before the end of the command's name is passed on; the name is in upper case
 * @returns a guard that ends the session at a command that may not run, and at input that servers may read in different ways
 */
export function createFollower(mayRun: (name: string, tag: string) => boolean): SessionGuard {
  let position: Position = 'tag'
  let tag = ''
  let name = ''
  /** the tagged answer to the command is outstanding */
  let unanswered = false
  /** the back end has refused a literal: the rest of the command is not for it */
  let dropping = false
  let literalLeft = 0
  let announced: Literal | undefined
  let mayIdle = false
  let quoted = false
  let escaped = false
  let carriageReturn = false
  /** what stands behind the last brace outside quotes, without the plus sign */
  let marker = ''
  let hasPlus = false
  /** the line that is to end IDLE, in upper case */
  let done = ''

  function beginCommand(): void {
    position = 'tag'
    tag = name = ''
    unanswered = dropping = mayIdle = false
    announced = undefined
  }

  function beginArguments(): void {
    position = 'arguments'
    quoted = escaped = hasPlus = false
    marker = ''
  }

  function beginLiteral(bytes: number): void {
    announced = undefined
    literalLeft = bytes
    if (bytes === 0) beginArguments()
    else position = 'literal'
  }

  function takeTag(octet: number): Verdict {
    if (octet === CR) return 'pass'
    const isDone = tag.toUpperCase() === 'DONE'
    if (octet === LF) {
      // An empty line is no command. DONE may cross the answer of a back end that has refused or ended the IDLE.
      if (tag !== '' && !isDone) return 'ambiguous'
      tag = ''
      return 'pass'
    }
    if (octet === SPACE && tag !== '' && !isDone) {
      position = 'name'
      return 'pass'
    }
    tag += String.fromCharCode(octet)
    return tag.length <= MAX_TAG_BYTES && TAG.test(tag.slice(-1)) ? 'pass' : 'ambiguous'
  }

  function takeName(octet: number): Verdict {
    if (octet === SPACE && name === '') return 'pass'
    if (octet !== SPACE && octet !== CR && octet !== LF) {
      name += String.fromCharCode(octet).toUpperCase()
      return name.length <= MAX_NAME_BYTES && NAME.test(name.slice(-1)) ? 'pass' : 'ambiguous'
    }
    if (name === '') return 'ambiguous'
    if (!mayRun(name, tag)) return 'forbidden'
    unanswered = true
    mayIdle = name === 'IDLE'
    beginArguments()
    return octet === LF ? endLine() : 'pass'
  }

  function takeArguments(octet: number): Verdict {
    if (octet === CR) return 'pass'
    if (octet === LF) return endLine()
    if (quoted) {
      if (octet === QUOTE && !escaped) quoted = false
      escaped = octet === BACKSLASH && !escaped
      return 'pass'
    }
    if (octet === QUOTE) quoted = true
    // The plus is left out at once. What follows has to be the rest of a marker.
    else if (octet === PLUS && marker !== '' && /^\{\d+$/.test(marker) && !hasPlus) {
      hasPlus = true
      return 'drop'
    }
    if (octet === OPENING_BRACE) marker = '{'
    else if (marker !== '' && marker.length < MAX_MARKER_BYTES) {
      marker += String.fromCharCode(octet)
      if (/^\{\d{11}/.test(marker)) return 'ambiguous' // 2 ** 31 has ten digits
    }
    return hasPlus && !marker.endsWith('}') ? 'ambiguous' : 'pass'
  }

  function endLine(): Verdict {
    // Cyrus takes an escaped LF for a part of the string.
    if (quoted) return 'ambiguous'
    const digits = MARKER.exec(marker)?.[1]
    if (digits === undefined) {
      if (hasPlus || /^\{\d+\}$/.test(marker)) return 'ambiguous'
      return endCommand()
    }
    const literal = { bytes: Number(digits), synchronising: !hasPlus }
    // A back end that overlooks what follows IDLE would take the continuation for its own.
    if (literal.bytes >= MAX_LITERAL_BYTES || mayIdle) return 'ambiguous'
    if (unanswered) {
      announced = literal
      position = 'nothing'
    } else if (literal.synchronising) return endCommand()
    else {
      dropping = true
      beginLiteral(literal.bytes)
    }
    return 'pass'
  }

  function endCommand(): Verdict {
    if (unanswered) position = 'nothing'
    else beginCommand()
    return 'pass'
  }

  /** RFC 2177: the client ends IDLE with DONE, and sends nothing else before that. */
  function takeDone(octet: number): Verdict {
    if (octet === CR) return 'pass'
    if (octet === LF) {
      position = 'nothing'
      return done === 'DONE' ? 'pass' : 'ambiguous'
    }
    done += String.fromCharCode(octet).toUpperCase()
    return 'DONE'.startsWith(done) ? 'pass' : 'ambiguous'
  }

  function take(octet: number): Verdict {
    // A bare CR ends a line for some servers, and a NUL for others.
    if (octet === NUL || (carriageReturn && octet !== LF)) return 'ambiguous'
    carriageReturn = octet === CR
    if (position === 'tag') return takeTag(octet)
    if (position === 'name') return takeName(octet)
    return position === 'done' ? takeDone(octet) : takeArguments(octet)
  }

  /** @returns whether the back end was expected to ask for something */
  function onContinuation(): boolean {
    if (position !== 'nothing') return false
    if (announced) beginLiteral(announced.bytes)
    else if (mayIdle) {
      mayIdle = false
      position = 'done'
      done = ''
    } else return false
    return true
  }

  /** @returns whether the answer is the one to the command that was passed on */
  function onTagged(answered: string): boolean {
    // to a DONE that came too late
    if (answered.toUpperCase() === 'DONE') return true
    if (!unanswered || answered !== tag) return false
    unanswered = false
    if (position === 'done') {
      beginCommand()
      tag = done
    } else if (announced?.synchronising === false) {
      // RFC 7888 4: the octets follow, whatever was answered.
      dropping = true
      beginLiteral(announced.bytes)
    } else if (position === 'nothing') beginCommand()
    return true
  }

  // The client has announced its literal without a wish to be asked for it.
  const swallows = (): boolean => announced?.synchronising === false

  return {
    fromClient(chunk, pass) {
      let from = 0
      let at = 0
      const leaveOut = (end: number): void => {
        if (at > from) pass(chunk.subarray(from, at))
        from = end
      }
      while (at < chunk.length && position !== 'nothing') {
        const isLeftOut = dropping
        if (position === 'literal') {
          const end = Math.min(chunk.length, at + literalLeft)
          if (isLeftOut) leaveOut(end)
          literalLeft -= end - at
          at = end
          if (literalLeft === 0) beginArguments()
          continue
        }
        const verdict = take(chunk[at] ?? NUL)
        if (verdict === 'forbidden' || verdict === 'ambiguous') return verdict
        if (isLeftOut || verdict === 'drop') leaveOut(at + 1)
        at++
      }
      leaveOut(at)
      return at
    },
    fromBackend: createResponseReader({ onContinuation, onTagged, swallows }),
  }
}
