/**
 * Reads the rest of a command's line, behind its name or behind a literal, up to the line end, and tells whether it announces a literal
 * (RFC 9051 4.3, RFC 7888). `take` checks every octet, for guarded sessions; `skim` looks for the end of the line only.
 * Each message that a client stores is announced this way, so `skim` reads the marker of a line that has come whole without a string.
 */
import { findLf } from './responses.ts'

/** Servers differ in how they read numbers of more than 31 bits, and no mailbox holds such a message. */
const MAX_LITERAL_BYTES = 2 ** 31
/** `{2147483647}`, and an octet more to tell that something follows it. */
const MAX_MARKER_BYTES = 13
/** Longer numbers are longer than any server counts. */
const MAX_DIGITS = 20
/** `MAX_DIGITS` with the plus, the brackets and the CR */
const MAX_TAIL_BYTES = 24
/** stand for the number of octets where there is none */
const NO_LITERAL = -1
const AMBIGUOUS = -2

const CR = 13
const QUOTE = 34
const PLUS = 43
const DIGIT_0 = 48
const DIGIT_9 = 57
const BACKSLASH = 92
const OPENING_BRACE = 123
const CLOSING_BRACE = 125

/** A literal's announcement with the plus left out. A leading zero makes the number octal for some readers. */
const MARKER = /^\{(0|[1-9]\d*)\}$/
/** the same at the end of a line, with its plus (RFC 7888) */
const MARKER_AT_END = /(\{\d{1,20})(\+?)\}\r?$/

/** What becomes of an octet, or why the session has to end there. */
export type Outcome = 'pass' | 'drop' | 'forbidden' | 'ambiguous'

/** @param marker as `take` and `skim` keep it. @returns the number of octets, `NO_LITERAL` or `AMBIGUOUS` */
function parseMarker(marker: string, hasPlus: boolean): number {
  const digits = MARKER.exec(marker)?.[1]
  if (digits === undefined) return hasPlus || /^\{\d+\}$/.test(marker) ? AMBIGUOUS : NO_LITERAL
  const bytes = Number(digits)
  return bytes < MAX_LITERAL_BYTES ? bytes : AMBIGUOUS
}

export class ArgumentReader {
  #quoted = false
  #escaped = false
  /** what stands behind the last brace outside quotes, without the plus; of a line that is skimmed and has come in pieces: its last octets */
  #marker = ''
  #hasPlus = false
  #bytes = NO_LITERAL

  begin(): void {
    this.#quoted = this.#escaped = this.#hasPlus = false
    this.#marker = ''
    this.#bytes = NO_LITERAL
  }

  /** of the literal that `end` has found */
  get bytes(): number {
    return this.#bytes
  }

  /** RFC 7888 4: the client waits for a continuation unless the marker has a plus. */
  get isSynchronising(): boolean {
    return !this.#hasPlus
  }

  /** @param octet neither CR nor LF */
  take(octet: number): Outcome {
    if (this.#quoted) {
      if (octet === QUOTE && !this.#escaped) this.#quoted = false
      this.#escaped = octet === BACKSLASH && !this.#escaped
      return 'pass'
    }
    if (octet === QUOTE) this.#quoted = true
    // The plus is left out at once. What follows has to be the rest of a marker.
    else if (octet === PLUS && /^\{\d+$/.test(this.#marker) && !this.#hasPlus) {
      this.#hasPlus = true
      return 'drop'
    }
    if (octet === OPENING_BRACE) this.#marker = '{'
    else if (this.#marker !== '' && this.#marker.length < MAX_MARKER_BYTES) {
      this.#marker += String.fromCharCode(octet)
      if (/^\{\d{11}/.test(this.#marker)) return 'ambiguous' // 2 ** 31 has ten digits
    }
    return this.#hasPlus && !this.#marker.endsWith('}') ? 'ambiguous' : 'pass'
  }

  /** @returns where the LF is that ends the line, or -1 where it has not come */
  skim(chunk: Buffer, at: number): number {
    const end = findLf(chunk, at)
    if (end !== -1 && this.#marker === '') this.#readMarker(chunk, at, end)
    else this.#keepTail(chunk, at, end)
    return end
  }

  /** Reads the marker of a whole line backwards, as `MARKER_AT_END` and `parseMarker` read one that has come in pieces. */
  #readMarker(chunk: Buffer, from: number, end: number): void {
    let at = (chunk[end - 1] === CR ? end - 1 : end) - 1
    if (at < from || chunk[at] !== CLOSING_BRACE) return
    const hasPlus = chunk[at - 1] === PLUS
    if (hasPlus) at--
    const last = at - 1
    let bytes = 0
    let unit = 1
    let octet = 0
    // Numbers of more than 15 digits lose their last digits here, and are ambiguous with any of them.
    for (at = last; at >= from && last - at <= MAX_DIGITS; at--, unit *= 10) {
      octet = chunk[at] ?? 0
      if (octet < DIGIT_0 || octet > DIGIT_9) break
      bytes += unit * (octet - DIGIT_0)
    }
    const digits = last - at
    if (octet !== OPENING_BRACE || digits === 0) return
    const hasLeadingZero = digits > 1 && chunk[at + 1] === DIGIT_0
    this.#hasPlus = hasPlus
    this.#bytes = hasLeadingZero || bytes >= MAX_LITERAL_BYTES ? AMBIGUOUS : bytes
  }

  /** @param end -1 where the end of the line has not come */
  #keepTail(chunk: Buffer, at: number, end: number): void {
    const stop = end === -1 ? chunk.length : end
    const tail = this.#marker + chunk.toString('latin1', Math.max(at, stop - MAX_TAIL_BYTES), stop)
    this.#marker = tail.slice(-MAX_TAIL_BYTES)
    if (end === -1) return
    const [, digits = '', plus = ''] = MARKER_AT_END.exec(this.#marker) ?? []
    this.#marker = digits && `${digits}}`
    this.#hasPlus = plus !== ''
  }

  /** To be called at the end of the line. @returns whether a literal follows */
  end(): 'literal' | 'none' | 'ambiguous' {
    // Cyrus takes an escaped LF for a part of the string.
    if (this.#quoted) return 'ambiguous'
    if (this.#marker !== '') this.#bytes = parseMarker(this.#marker, this.#hasPlus)
    if (this.#bytes === NO_LITERAL) return 'none'
    return this.#bytes === AMBIGUOUS ? 'ambiguous' : 'literal'
  }
}
