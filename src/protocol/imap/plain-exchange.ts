/**
 * The most frequent exchange: a plain command that comes whole, and nothing but its answer. It is recognised without strings and objects, since a
 * NOOP costs the relay so little that reading it in full would be 3 % of that. Everything else is left to `commands.ts` and `responses.ts`.
 */
import { findLf } from './responses.ts'
import { NAME_OCTETS, TAG_OCTETS } from './words.ts'

const LF = 10
const CR = 13
const SPACE = 32
const UPPER_A = 65
const UPPER_C = 67
const UPPER_D = 68
const UPPER_I = 73
const UPPER_K = 75
const UPPER_N = 78
const UPPER_O = 79
const UPPER_S = 83
const UPPER_T = 84
const CLOSING_BRACE = 125
/** the bit in which an ASCII letter's cases differ */
const LOWER_CASE = 32

/** Two numbers of 32 bits hold as many. Mail clients send four to eight. */
const MAX_TAG_BYTES = 8
/** Longer commands are rare, and cost more than their reading. */
const MAX_LINE_BYTES = 200

const upper = (octet: number | undefined): number => (octet ?? 0) & ~LOWER_CASE

/** @returns up to four octets as one number */
function pack(chunk: Buffer, from: number, end: number): number {
  let packed = 0
  for (let at = from; at < end; at++) packed = (packed << 8) | (chunk[at] ?? 0)
  return packed
}

function unpack(packed: number, length: number): string {
  let text = ''
  for (let shift = (length - 1) * 8; shift >= 0; shift -= 8) text += String.fromCharCode((packed >>> shift) & 255)
  return text
}

/** IDLE, COMPRESS, AUTHENTICATE and STARTTLS change how the session goes on, and DONE as a tag is none: they are not plain. */
function isPlain(chunk: Buffer, tagBytes: number): boolean {
  const first = upper(chunk[tagBytes + 1])
  if (first === UPPER_I || first === UPPER_C || first === UPPER_A) return false
  if (first === UPPER_S && upper(chunk[tagBytes + 2]) === UPPER_T) return false
  return tagBytes !== 4 || upper(chunk[0]) !== UPPER_D
}

export class PlainExchange {
  /** of the command that is unanswered; 0 where there is none */
  #tagBytes = 0
  #tagStart = 0
  #tagEnd = 0

  get isOpen(): boolean {
    return this.#tagBytes > 0
  }

  /** To be called while no other command is in progress. @returns whether the chunk is exactly one plain command */
  begin(chunk: Buffer): boolean {
    const end = chunk.length - 2
    if (chunk.length > MAX_LINE_BYTES || chunk[end] !== CR || chunk[end + 1] !== LF) return false
    // A literal follows.
    if (chunk[end - 1] === CLOSING_BRACE) return false
    let at = 0
    while (at < MAX_TAG_BYTES && TAG_OCTETS[chunk[at] ?? 0]) at++
    if (at === 0 || chunk[at] !== SPACE || !isPlain(chunk, at)) return false
    const tagBytes = at
    const name = ++at
    while (NAME_OCTETS[chunk[at] ?? 0]) at++
    if (at === name || (chunk[at] !== SPACE && at !== end)) return false
    // It is one line.
    for (; at < end; at++) if (chunk[at] === LF || chunk[at] === CR) return false
    this.#tagBytes = tagBytes
    this.#tagStart = pack(chunk, 0, Math.min(4, tagBytes))
    this.#tagEnd = pack(chunk, 4, tagBytes)
    return true
  }

  /** To be called at the beginning of a response. @returns whether the chunk is exactly the answer to the command, which is then over */
  end(chunk: Buffer): boolean {
    const tagBytes = this.#tagBytes
    if (chunk[tagBytes] !== SPACE || this.#tagStart !== pack(chunk, 0, Math.min(4, tagBytes))) return false
    if (this.#tagEnd !== pack(chunk, 4, tagBytes)) return false
    const first = upper(chunk[tagBytes + 1])
    const second = upper(chunk[tagBytes + 2])
    const isOk = (first === UPPER_O && second === UPPER_K) || (first === UPPER_N && second === UPPER_O)
    const next = chunk[tagBytes + 3]
    if (!isOk || (next !== SPACE && next !== CR && next !== LF)) return false
    if (findLf(chunk, tagBytes) !== chunk.length - 1) return false
    this.#tagBytes = 0
    return true
  }

  /** Leaves the command to others. @returns its tag */
  give(): string {
    const tag =
      unpack(this.#tagStart, Math.min(4, this.#tagBytes)) + unpack(this.#tagEnd, Math.max(0, this.#tagBytes - 4))
    this.#tagBytes = 0
    return tag
  }
}
