/**
 * Follows a POP3 session after login without a change to it. Every command has one answer, in order (RFC 1939 3, RFC 2449 6.6). The session is
 * idle while all are answered and no message is marked as deleted: an end before QUIT would keep those messages (RFC 1939 6).
 */
import type { SessionObserver } from '../watch.ts'

const LF = 10
const CR = 13
const SPACE = 32
const PLUS = 43
const MINUS = 45
const DOT = 46
const UPPER_O = 79
const LOWER_A = 97
const LOWER_Z = 122
/** the bit in which an ASCII letter's cases differ */
const LOWER_CASE = 32

/** RFC 1939 3: three or four letters; extensions have a few more. */
const MAX_KEYWORD_BYTES = 16
/** Clients that pipeline (RFC 2449 6.6) send some hundred commands at once. A larger value would only cost memory. */
const MAX_UNANSWERED = 1000

/** The end of a multi-line answer (RFC 1939 3), without the CRLF before it. The dot comes first: it is rarer than a line end. */
const LAST_LINE = Buffer.from('.\r\n')
const TERMINATOR = [CR, LF, DOT, CR, LF]
/** Where a multi-line answer begins, it is behind a line end. */
const AT_LINE_START = 2

/** What becomes of the session when the command succeeds. */
type Kind = 'single' | 'multi' | 'delete' | 'reset' | 'quit' | 'opaque'

/** The answers to these have several lines after an OK: always, or where the command has no argument (RFC 5034 3, RFC 6856 3). */
const MULTI = new Set(['RETR', 'TOP', 'CAPA'])
const MULTI_ALONE = new Set(['LIST', 'UIDL', 'AUTH', 'LANG'])
const OTHERS: ReadonlyMap<string, Kind> = new Map([
  ['DELE', 'delete'],
  ['RSET', 'reset'],
  ['QUIT', 'quit'],
  ['STLS', 'opaque'],
])

function kindOf(keyword: string, hasArgument: boolean): Kind {
  if (MULTI.has(keyword) || (!hasArgument && MULTI_ALONE.has(keyword))) return 'multi'
  return OTHERS.get(keyword) ?? 'single'
}

export class Pop3Watch implements SessionObserver {
  readonly mode = 'observe'
  readonly #unanswered: Kind[] = []
  /** the command line that has come in part; undefined between lines */
  #keyword: string | undefined
  #inArguments = false
  #hasArgument = false
  /** the answer's first line: how many of its octets have come */
  #answerBytes = 0
  #isOk = false
  /** inside a multi-line answer: how many octets of the terminator came last */
  #terminator: number | undefined
  /** some messages are marked as deleted, or the session is at its end */
  #isOwedQuit = false

  fromClient(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length; at++) {
      const octet = chunk[at] ?? LF
      this.#keyword ??= ''
      if (octet === LF) {
        if (this.#unanswered.push(kindOf(this.#keyword, this.#hasArgument)) > MAX_UNANSWERED) return false
        this.#keyword = undefined
        this.#inArguments = this.#hasArgument = false
      } else if (octet === SPACE) this.#inArguments = true
      else if (octet === CR) continue
      else if (this.#inArguments) this.#hasArgument = true
      else if (this.#keyword.length < MAX_KEYWORD_BYTES)
        this.#keyword += String.fromCharCode(octet >= LOWER_A && octet <= LOWER_Z ? octet - LOWER_CASE : octet)
    }
    return true
  }

  fromBackend(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length;) {
      at = this.#terminator === undefined ? this.#takeAnswer(chunk, at) : this.#skipLines(chunk, at)
      if (at === -1) return false
    }
    return true
  }

  isIdle(): boolean {
    const isBetween = this.#keyword === undefined && this.#answerBytes === 0
    return isBetween && this.#unanswered.length === 0 && !this.#isOwedQuit
  }

  /** Reads the first line of an answer. @returns where the chunk goes on, or -1 where the session cannot be followed any more */
  #takeAnswer(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const octet = chunk[at]
      if (this.#answerBytes === 0) {
        if (this.#unanswered.length === 0 || (octet !== PLUS && octet !== MINUS)) return -1
        this.#isOk = octet === PLUS
      } else if (this.#answerBytes === 1 && this.#isOk && ((octet ?? 0) & ~LOWER_CASE) !== UPPER_O) {
        return -1 // a challenge (RFC 5034 4): the client's next line is no command
      }
      this.#answerBytes++
      if (octet === LF) return this.#endAnswer() ? at + 1 : -1
    }
    return chunk.length
  }

  #endAnswer(): boolean {
    this.#answerBytes = 0
    const kind = this.#unanswered[0]
    if (this.#isOk && kind === 'multi') {
      this.#terminator = AT_LINE_START
      return true
    }
    this.#unanswered.shift()
    if (kind === 'quit')
      this.#isOwedQuit = true // RFC 1939 6: the back end is at work on the deletions, and closes
    else if (!this.#isOk) return true
    else if (kind === 'delete') this.#isOwedQuit = true
    else if (kind === 'reset') this.#isOwedQuit = false
    return kind !== 'opaque'
  }

  /** @returns where the next answer begins, or the end of the chunk */
  #skipLines(chunk: Buffer, from: number): number {
    const end = this.#findTerminator(chunk, from)
    if (end === -1) return chunk.length
    this.#terminator = undefined
    this.#unanswered.shift()
    return end
  }

  /** @returns the index behind the terminator, or -1 */
  #findTerminator(chunk: Buffer, from: number): number {
    // A terminator that began in an earlier chunk ends within the first octets of this one.
    let at = from
    while (at < chunk.length && at < from + TERMINATOR.length) if (this.#match(chunk[at++])) return at
    // Nothing follows the answer to the last command: the terminator of that can only be at the end of a chunk.
    const mayGoOn = this.#unanswered.length > 1
    for (let dot = mayGoOn ? chunk.indexOf(LAST_LINE, from) : -1; dot !== -1; dot = chunk.indexOf(LAST_LINE, dot + 1)) {
      if (dot >= from + 2 && chunk[dot - 1] === LF && chunk[dot - 2] === CR) return dot + LAST_LINE.length
    }
    if (at < chunk.length - TERMINATOR.length) {
      at = chunk.length - TERMINATOR.length
      this.#terminator = 0
    }
    while (at < chunk.length) if (this.#match(chunk[at++])) return at
    return -1
  }

  /** @returns whether this is the terminator's last octet */
  #match(octet: number | undefined): boolean {
    const matched = this.#terminator ?? 0
    if (octet === TERMINATOR[matched]) this.#terminator = matched + 1
    // `CR LF . CR` may be followed by no other CR that begins a terminator than its own.
    else this.#terminator = octet === CR ? 1 : 0
    return this.#terminator === TERMINATOR.length
  }
}
