/**
 * Reads the rest of a command's line, behind its name or behind a literal, up to the line end, and tells whether it announces a literal
 * (RFC 9051 4.3, RFC 7888). `take` checks every octet, for guarded sessions; `skim` looks for the end of the line only.
 */
import { findLf } from './responses.ts'

/** Servers differ in how they read numbers of more than 31 bits, and no mailbox holds such a message. */
const MAX_LITERAL_BYTES = 2 ** 31
/** `{2147483647}`, and an octet more to tell that something follows it. */
const MAX_MARKER_BYTES = 13
/** A marker of 20 digits with its plus, brackets and CR: longer numbers are longer than any server counts. */
const MAX_TAIL_BYTES = 24

const CR = 13
const QUOTE = 34
const PLUS = 43
const BACKSLASH = 92
const OPENING_BRACE = 123
const CLOSING_BRACE = 125

/** A literal's announcement with the plus left out. A leading zero makes the number octal for some readers. */
const MARKER = /^\{(0|[1-9]\d*)\}$/
/** the same at the end of a line, with its plus (RFC 7888) */
const MARKER_AT_END = /(\{\d{1,20})(\+?)\}\r?$/

/** What becomes of an octet, or why the session has to end there. */
export type Outcome = 'pass' | 'drop' | 'forbidden' | 'ambiguous'

export type Literal = { bytes: number; synchronising: boolean }

export class ArgumentReader {
  #quoted = false
  #escaped = false
  /** what stands behind the last brace outside quotes, without the plus; of a line that is skimmed: its last octets */
  #marker = ''
  #hasPlus = false

  begin(): void {
    this.#quoted = this.#escaped = this.#hasPlus = false
    this.#marker = ''
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
    const stop = end === -1 ? chunk.length : end
    const last = chunk[stop - 1] === CR ? stop - 2 : stop - 1
    // Most lines end without a marker, and need no string.
    if (end === -1 || this.#marker !== '' || (last >= at && chunk[last] === CLOSING_BRACE))
      this.#marker = (this.#marker + chunk.toString('latin1', Math.max(at, stop - MAX_TAIL_BYTES), stop)).slice(
        -MAX_TAIL_BYTES,
      )
    if (end !== -1 && this.#marker !== '') {
      const [, digits = '', plus = ''] = MARKER_AT_END.exec(this.#marker) ?? []
      this.#marker = digits && `${digits}}`
      this.#hasPlus = plus !== ''
    }
    return end
  }

  /** To be called at the end of the line. @returns the literal that follows */
  end(): Literal | 'none' | 'ambiguous' {
    // Cyrus takes an escaped LF for a part of the string.
    if (this.#quoted) return 'ambiguous'
    if (this.#marker === '') return 'none'
    const digits = MARKER.exec(this.#marker)?.[1]
    if (digits === undefined) return this.#hasPlus || /^\{\d+\}$/.test(this.#marker) ? 'ambiguous' : 'none'
    const bytes = Number(digits)
    return bytes < MAX_LITERAL_BYTES ? { bytes, synchronising: !this.#hasPlus } : 'ambiguous'
  }
}
