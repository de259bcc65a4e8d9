/**
 * Tells from the last octets of each side whether a silent session waits for anything, and whether text may be sent into it.
 * Parses nothing: text ends in CRLF, while compressed octets (RFC 4978) and TLS that is passed through do so by chance alone.
 */
const CR = 13
const LF = 10

/** A chunk of one octet may be the second half of a CRLF. */
function endsInLine(chunk: Buffer): boolean {
  const { length } = chunk
  return chunk[length - 1] === LF && (length === 1 || chunk[length - 2] === CR)
}

export class Turns {
  #backendSpokeLast = true
  #clientEndedLine = true
  #backendEndedLine = true
  #isOpaque = false

  fromClient(chunk: Buffer): void {
    this.#backendSpokeLast = false
    this.#clientEndedLine = endsInLine(chunk)
  }

  fromBackend(chunk: Buffer): void {
    this.#backendSpokeLast = true
    this.#backendEndedLine = endsInLine(chunk)
  }

  /** To be called while neither side sends: text rests at the end of a line on one side at least. */
  rest(): void {
    if (this.#backendSpokeLast && !this.#clientEndedLine && !this.#backendEndedLine) this.#isOpaque = true
  }

  /** After some silence: the back end owes no answer, and is not in the middle of one. */
  get isAnswered(): boolean {
    return this.#backendSpokeLast && (this.#backendEndedLine || this.#isOpaque)
  }

  /** The client would read a message as such, and not as a part of something else. */
  get mayHearText(): boolean {
    return this.#backendSpokeLast && this.#backendEndedLine && this.#clientEndedLine && !this.#isOpaque
  }
}
