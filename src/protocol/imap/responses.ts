/**
 * Finds the answers to commands in what an IMAP back end sends after login: continuations and tagged responses (RFC 9051 7). Literals are
 * counted and not kept. A line that cannot be an answer costs a search for its end and no string.
 */
import type { PassOn } from '../watch.ts'
import { findWordEnd, readWord, TAG_OCTETS } from './words.ts'

/** A tag of up to 1,000 octets and the word behind it. */
const MAX_HEAD_BYTES = 1010
/** `{4294967295}` and the line end. */
const MAX_TAIL_BYTES = 16
/** Lists of messages fill chunks of up to 64 KiB. A shorter rest is read line by line for less than the native calls cost. */
const LONG_BYTES = 2048
/** A shorter search in JavaScript costs less than a call into native code. */
const NEAR_BYTES = 48

const LF = 10
const CR = 13
const SPACE = 32
const STAR = 42
const PLUS = 43
const DIGIT_0 = 48
const DIGIT_9 = 57
const UPPER_B = 66
const UPPER_K = 75
const UPPER_O = 79
const OPENING_BRACE = 123
const CLOSING_BRACE = 125
/** the bit in which an ASCII letter's cases differ */
const LOWER_CASE = 32

/** RFC 9051 7.1: human text follows these, in which a brace announces nothing. */
const STATUS = /^([^ ]+) (OK|NO|BAD|BYE|PREAUTH)(?=[ \r\n])/i
const LITERAL = /\{(\d+)\}\r?\n$/

/** Each returns false where the session cannot be followed any more. */
export type ResponseEvents = {
  onContinuation(): boolean
  /** @param status OK, NO or BAD */
  onTagged(tag: string, status: string): boolean
  /** RFC 9051 7.1.3: an untagged BAD answers a command, and does not say which. */
  onUntaggedBad(): boolean
  /** a line that is no response of the grammar */
  onGarbage(): boolean
  /** the tag whose answer is all that can come beside untagged responses, if it is one */
  soleTag(): string | undefined
  /** whether a continuation that comes now is not for the client */
  swallows(): boolean
}

/** @returns the index of the next LF, or -1 */
export function findLf(chunk: Buffer, from: number): number {
  const near = Math.min(chunk.length, from + NEAR_BYTES)
  for (let at = from; at < near; at++) if (chunk[at] === LF) return at
  return near === chunk.length ? -1 : chunk.indexOf(LF, near)
}

/** @returns the tag of a whole line `tag OK ...`, the most frequent answer, or undefined at any other line. Costs no native call */
function readOkTag(chunk: Buffer, from: number, end: number): string | undefined {
  if (end - from > MAX_HEAD_BYTES) return undefined
  const at = findWordEnd(chunk, from, TAG_OCTETS, end - from)
  const isOk = ((chunk[at + 1] ?? 0) & ~LOWER_CASE) === UPPER_O && ((chunk[at + 2] ?? 0) & ~LOWER_CASE) === UPPER_K
  const next = chunk[at + 3]
  const isTagged = isOk && at > from && chunk[at] === SPACE && (next === SPACE || next === CR || next === LF)
  return isTagged ? readWord(chunk, from, at) : undefined
}

const TEXT_FOLLOWS: readonly boolean[] = Array.from({ length: 256 }, (_, octet) =>
  /[OoNnBbPp]/.test(String.fromCharCode(octet)),
)

const isDigit = (octet: number | undefined): boolean => octet !== undefined && octet >= DIGIT_0 && octet <= DIGIT_9

/** @returns whether nothing but the line end follows */
function endsLine(chunk: Buffer, at: number): boolean {
  return chunk[chunk[at + 1] === CR ? at + 2 : at + 1] === LF
}

/** Reads what the back end sends, in pieces of any size. */
export class ResponseReader {
  readonly #events: ResponseEvents
  /** the beginning and the end of a line that has come in part */
  #head = ''
  #tail = ''
  #literalLeft = 0
  /** the line goes on behind a literal */
  #continued = false
  #swallowing = false
  /** the tag that was searched for in this chunk, and where it is; -1: not there */
  #searchedTag: string | undefined
  #answerAt = -1
  /** false behind a literal that follows another: line by line is cheaper then */
  #mayLeap = true

  constructor(events: ResponseEvents) {
    this.#events = events
  }

  /** Nothing of a response has come whose end has not. */
  get isBetweenResponses(): boolean {
    return this.#head === '' && !this.#continued && this.#literalLeft === 0
  }

  /** Reads from an index. @returns -1 where the session cannot be followed any more, or the octets that it lends (watch.ts) */
  observe(chunk: Buffer, from: number): number {
    this.#searchedTag = undefined
    this.#mayLeap = true
    for (let at = from; at < chunk.length;) {
      at = this.#take(chunk, at)
      if (at === -1) return -1
    }
    const lent = Math.max(0, this.#literalLeft - 1)
    this.#literalLeft -= lent
    return lent
  }

  /** As `observe`, and passes on all but continuations that are not for the client. */
  passOn(chunk: Buffer, pass: PassOn): boolean {
    let from = 0
    for (let at = 0; at < chunk.length;) {
      if (this.isBetweenResponses && chunk[at] === PLUS && this.#events.swallows()) {
        this.#swallowing = true
        if (at > from) pass(chunk.subarray(from, at))
      }
      at = this.#take(chunk, at)
      if (at === -1) return false
      if (this.#swallowing) from = at
      if (this.isBetweenResponses) this.#swallowing = false
    }
    if (chunk.length > from) pass(chunk.subarray(from))
    return true
  }

  /** @returns where the next line or literal begins, or -1 where the session cannot be followed any more */
  #take(chunk: Buffer, at: number): number {
    if (this.#literalLeft > 0) {
      const skipped = Math.min(this.#literalLeft, chunk.length - at)
      this.#literalLeft -= skipped
      return at + skipped
    }
    if (this.#mayLeap && chunk[at] === STAR && chunk.length - at > LONG_BYTES && this.isBetweenResponses) {
      const next = this.#skipUntagged(chunk, at)
      if (next > at) return next
      this.#mayLeap = false
    }
    const end = findLf(chunk, at)
    if (end !== -1 && this.#head === '' && this.#isOfNoInterest(chunk, at, end)) {
      this.#continued = false
      return end + 1
    }
    if (end !== -1 && this.#head === '' && this.#announceLiteral(chunk, at, end)) return end + 1
    if (end !== -1 && this.isBetweenResponses) {
      const tag = readOkTag(chunk, at, end)
      if (tag !== undefined) return this.#events.onTagged(tag, 'OK') ? end + 1 : -1
    }
    const stop = end === -1 ? chunk.length : end + 1
    if (this.#head.length < MAX_HEAD_BYTES)
      this.#head += chunk.toString('latin1', at, Math.min(stop, at + MAX_HEAD_BYTES))
    this.#tail = (this.#tail + chunk.toString('latin1', Math.max(at, stop - MAX_TAIL_BYTES), stop)).slice(
      -MAX_TAIL_BYTES,
    )
    if (end === -1) return stop
    return this.#endLine() ? stop : -1
  }

  /** Passes whole lines over up to the one answer that is owed, or to a literal. @returns where the next line begins that has to be read */
  #skipUntagged(chunk: Buffer, at: number): number {
    const tag = this.#events.soleTag()
    if (tag === undefined) return at
    // A chunk with many literals is searched once: what was found counts until it turns out to be inside one of them.
    if (tag !== this.#searchedTag || (this.#answerAt !== -1 && this.#answerAt < at)) {
      this.#searchedTag = tag
      this.#answerAt = chunk.indexOf(`\n${tag} `, at, 'latin1')
    }
    const answer = this.#answerAt
    const end = answer === -1 ? chunk.lastIndexOf(LF) : answer
    let brace = chunk.indexOf(CLOSING_BRACE, at)
    while (brace !== -1 && brace < end && !endsLine(chunk, brace)) brace = chunk.indexOf(CLOSING_BRACE, brace + 1)
    return (brace === -1 || brace > end ? end : chunk.lastIndexOf(LF, brace)) + 1
  }

  /** A whole line that is no answer and announces no literal. */
  #isOfNoInterest(chunk: Buffer, at: number, end: number): boolean {
    const last = chunk[end - 1] === CR ? end - 2 : end - 1
    if (last >= at && chunk[last] === CLOSING_BRACE) return false
    if (this.#continued) return true
    // `* BAD` is the one untagged response that counts.
    return chunk[at] === STAR && ((chunk[at + 2] ?? 0) & ~LOWER_CASE) !== UPPER_B
  }

  /** Reads the literal that a whole line announces, without a string. @returns false at lines that need a closer look */
  #announceLiteral(chunk: Buffer, from: number, end: number): boolean {
    // `* OK`, `* NO`, `* BAD`, `* BYE` and `* PREAUTH` are followed by text.
    if (!this.#continued && (chunk[from] !== STAR || TEXT_FOLLOWS[chunk[from + 2] ?? 0])) return false
    let at = (chunk[end - 1] === CR ? end - 1 : end) - 1
    if (at <= from || chunk[at] !== CLOSING_BRACE) return false
    let bytes = 0
    let unit = 1
    for (at--; at > from && isDigit(chunk[at]); at--, unit *= 10) bytes += unit * ((chunk[at] ?? 0) - DIGIT_0)
    // The longest number that is exact, of 15 digits, is longer than any literal.
    if (unit === 1 || unit > 1e15 || chunk[at] !== OPENING_BRACE) return false
    this.#literalLeft = bytes
    this.#continued = true
    return true
  }

  #endLine(): boolean {
    const head = this.#head
    const status = this.#continued ? null : STATUS.exec(head)
    const isFollowed = this.#continued || this.#takeLine(head, status)
    const isText = status !== null || (!this.#continued && head.startsWith('+'))
    const bytes = isText ? undefined : LITERAL.exec(this.#tail)?.[1]
    this.#literalLeft = Number(bytes ?? 0)
    this.#continued = bytes !== undefined
    this.#head = this.#tail = ''
    return isFollowed
  }

  /** @param status of the line that begins with `head`, if it has one */
  #takeLine(head: string, status: RegExpExecArray | null): boolean {
    if (head.startsWith('+')) return this.#events.onContinuation()
    const [, tag = '', word = ''] = status ?? []
    if (head.startsWith('*')) return word.toUpperCase() !== 'BAD' || this.#events.onUntaggedBad()
    return /^(?:OK|NO|BAD)$/i.test(word) ? this.#events.onTagged(tag, word.toUpperCase()) : this.#events.onGarbage()
  }
}
