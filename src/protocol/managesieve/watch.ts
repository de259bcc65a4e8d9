/**
 * Follows a ManageSieve session after login (RFC 5804). It counts commands and their answers, ends the session at UNAUTHENTICATE (RFC 5804
 * 2.14.1: the next user would log in past routing, limits and logs), and keeps a back end from sending the client around mailmux.
 */
import type { PassOn, SessionGuard } from '../watch.ts'
import { goodbyeReply } from './replies.ts'

const TAB = 9
const LF = 10
const CR = 13
const SPACE = 32
const PLUS = 43
const ZERO = 48
const NINE = 57
const OPENING_BRACE = 123
const CLOSING_BRACE = 125
/** the bit in which an ASCII letter's cases differ */
const LOWER_CASE = 32

/**
 * Not allowed anywhere in what a client sends, since servers differ in what they read as a command. Cyrus goes on in the middle of a line
 * behind a word that it did not expect, and reads a literal as commands where it did not understand what came before. Stalwart drops the rest
 * of a TCP segment at an error. The octet behind the word decides: a script may say `unauthenticated`.
 */
const UNAUTHENTICATE = /unauthenticate[^a-z]/i
const UNAUTHENTICATE_BYTES = 14
/** A server that took it in spite of the login would make the octets unreadable. */
const STARTTLS = Buffer.from('STARTTLS')
/** Servers differ in how they read numbers of more than 31 bits, and no script is that long. */
const MAX_LITERAL_BYTES = 2 ** 31
/** A BYE with a referral has less than 300 octets. A longer line is passed on unread. */
const MAX_BYE_BYTES = 2048

/** Finds the end of a line and the literal that it announces. */
class Line {
  /** octets of a literal that are still to come */
  literalLeft = 0
  /** nothing of a line has come, and no literal is open */
  isAtStart = true
  /** the number behind the last brace; undefined: there is none */
  #count: number | undefined
  #digits = 0
  #hasPlus = false
  #isClosed = false

  /** @returns at a line end: 'end', or 'literal' where a literal follows, or 'ambiguous' where servers read the number in different ways */
  take(octet: number): 'end' | 'literal' | 'ambiguous' | undefined {
    if (octet === LF) return this.#endLine()
    this.isAtStart = false
    if (octet === OPENING_BRACE) {
      this.#count = 0
      this.#digits = 0
      this.#hasPlus = this.#isClosed = false
    } else if (this.#count === undefined || octet === CR) return undefined
    else if (octet >= ZERO && octet <= NINE && !this.#isClosed) {
      // A leading zero is octal for some readers. Behind a plus no digit is allowed (RFC 5804 4).
      if ((this.#digits++ > 0 && this.#count === 0) || this.#hasPlus) this.#count = MAX_LITERAL_BYTES
      this.#count = Math.min(MAX_LITERAL_BYTES, this.#count * 10 + octet - ZERO)
    } else if (octet === CLOSING_BRACE && this.#digits > 0 && !this.#isClosed) this.#isClosed = true
    else if (octet === PLUS && this.#digits > 0 && !this.#isClosed) {
      if (this.#hasPlus) this.#count = MAX_LITERAL_BYTES
      this.#hasPlus = true
    } else this.#count = undefined
    return undefined
  }

  #endLine(): 'end' | 'literal' | 'ambiguous' {
    const count = this.#isClosed ? this.#count : undefined
    this.#count = undefined
    this.#isClosed = false
    if (count === undefined) {
      this.isAtStart = true
      return 'end'
    }
    if (count >= MAX_LITERAL_BYTES) return 'ambiguous'
    this.literalLeft = count
    return 'literal'
  }
}

export class ManagesieveWatch implements SessionGuard {
  readonly mode = 'guard'
  readonly farewell = 'BYE "This command is not available here."\r\n'
  readonly #client = new Line()
  readonly #backend = new Line()
  #unanswered = 0
  /** the present line of the client has more than a line end */
  #isCommand = false
  /** the client's line goes on behind a literal */
  #isContinued = false
  /** the client's last octets, which may be the start of UNAUTHENTICATE */
  #tail = ''
  /** how many octets of STARTTLS stand at the start of the present line; -1: the line begins otherwise */
  #matched = 0
  /** the first octets of the back end's line, in upper case, as far as they tell OK, NO and BYE */
  #head = ''
  /** a line that may be a BYE, kept until its end */
  #bye: Buffer | undefined
  /** a referral was replaced: what follows it is dropped */
  #isOver = false

  fromClient(chunk: Buffer, pass: PassOn): number | 'forbidden' | 'ambiguous' {
    if (this.#holdsUnauthenticate(chunk)) return 'forbidden'
    const client = this.#client
    for (let at = 0; at < chunk.length; at++) {
      if (client.literalLeft > 0) {
        const skipped = Math.min(client.literalLeft, chunk.length - at)
        client.literalLeft -= skipped
        at += skipped - 1
        continue
      }
      const octet = chunk[at] ?? LF
      if (this.#endsStartTls(octet)) return 'forbidden'
      if (octet !== LF && octet !== CR) this.#isCommand = true
      const end = client.take(octet)
      if (end === 'ambiguous') return 'ambiguous'
      if (end === undefined) continue
      // From its first line on: Dovecot refuses a script that is too large before it has come whole.
      if (this.#isCommand && !this.#isContinued) this.#unanswered++
      this.#isContinued = end === 'literal'
      if (this.#isContinued) this.#matched = -1
      this.#isCommand = false
    }
    pass(chunk)
    return chunk.length
  }

  fromBackend(chunk: Buffer, pass: PassOn): boolean {
    const backend = this.#backend
    let from = 0
    for (let at = 0; at < chunk.length && !this.#isOver; at++) {
      if (backend.literalLeft > 0) {
        const skipped = Math.min(backend.literalLeft, chunk.length - at)
        backend.literalLeft -= skipped
        at += skipped - 1
        continue
      }
      const octet = chunk[at] ?? LF
      // Responses begin with a word or a string (RFC 5804 4). A control character begins TLS: a STARTTLS came through, and nothing is readable.
      if (backend.isAtStart && octet < SPACE && octet !== CR && octet !== LF) return false
      if (backend.isAtStart && (octet | LOWER_CASE) === 98 && this.#bye === undefined) {
        if (at > from) pass(chunk.subarray(from, at))
        from = at
        this.#bye = Buffer.alloc(0)
      }
      if (this.#head.length < 4 && octet !== CR && octet !== LF) this.#head += String.fromCharCode(octet).toUpperCase()
      const end = backend.take(octet)
      if (end === 'ambiguous') return false
      if (end === undefined) continue
      if (this.#bye !== undefined) {
        this.#endBye(Buffer.concat([this.#bye, chunk.subarray(from, at + 1)]), pass)
        from = at + 1
      }
      if (end === 'literal') continue
      if (/^(?:OK|NO|BYE)(?:[^A-Z]|$)/.test(this.#head) && this.#unanswered > 0) this.#unanswered--
      this.#head = ''
    }
    if (this.#isOver) return true
    if (this.#bye === undefined) {
      if (from < chunk.length) pass(from === 0 ? chunk : chunk.subarray(from))
      return true
    }
    this.#bye = Buffer.concat([this.#bye, chunk.subarray(from)])
    if (this.#bye.length > MAX_BYE_BYTES) this.#endBye(this.#bye, pass)
    return true
  }

  isIdle(): boolean {
    return (
      this.#unanswered === 0 &&
      this.#client.isAtStart &&
      this.#client.literalLeft === 0 &&
      this.#backend.isAtStart &&
      this.#backend.literalLeft === 0
    )
  }

  /** RFC 5804 1.3: a referral names a server behind mailmux. @param line a whole line, or its start where it is too long */
  #endBye(line: Buffer, pass: PassOn): void {
    this.#bye = undefined
    if (/^BYE *\( *"?REFERRAL/i.test(line.toString('latin1', 0, 64))) {
      this.#isOver = true
      pass(Buffer.from(`${goodbyeReply('shutting-down')}\r\n`))
    } else pass(line)
  }

  #holdsUnauthenticate(chunk: Buffer): boolean {
    const text = this.#tail + chunk.toString('latin1')
    this.#tail = text.slice(-UNAUTHENTICATE_BYTES)
    return UNAUTHENTICATE.test(text)
  }

  /** Looks for STARTTLS at the start of a line. The octet behind the word decides. */
  #endsStartTls(octet: number): boolean {
    const matched = this.#matched
    if (octet === LF) this.#matched = 0
    else if (matched !== 0 || (octet !== SPACE && octet !== TAB && octet !== CR))
      this.#matched = matched >= 0 && (octet & ~LOWER_CASE) === STARTTLS[matched] ? matched + 1 : -1
    return matched === STARTTLS.length && !isWordCharacter(octet)
  }
}

function isWordCharacter(octet: number): boolean {
  return /[A-Za-z0-9_-]/.test(String.fromCharCode(octet))
}
