/** Finds the answers to commands in what an IMAP back end sends after login: continuations and tagged responses (RFC 9051 7). */
import type { PassOn } from '../protocol.ts'

/** A tag of up to 1,000 octets and the word behind it. */
const MAX_HEAD_BYTES = 1010
/** `{4294967295}` and the line end. */
const MAX_TAIL_BYTES = 16

const LF = 10
const PLUS = 43

/** Human text follows (RFC 9051 7.1), in which a brace announces nothing. */
const STATUS = /^[^ ]+ (?:OK|NO|BAD|BYE|PREAUTH)(?=[ \r\n])/i
const TAGGED = /^([^ *+][^ ]*) (?:OK|NO|BAD)(?=[ \r\n])/i
const LITERAL = /\{(\d+)\}\r?\n$/

export type ResponseEvents = {
  /** @returns false where none was expected */
  onContinuation: () => boolean
  /** @returns false where none with this tag was expected */
  onTagged: (tag: string) => boolean
  /** whether a continuation that comes now is not for the client */
  swallows: () => boolean
}

/**
 * @returns a reader of what the back end sends, in pieces of any size. It says `false` at a response that was not expected. Literals are
 * counted and not kept.
 */
export function createResponseReader({ onContinuation, onTagged, swallows }: ResponseEvents) {
  let head = ''
  let tail = ''
  let literalLeft = 0
  /** the line goes on behind a literal */
  let continued = false
  let swallowing = false

  function endLine(): boolean {
    const isText = !continued && (head.startsWith('+') || STATUS.test(head))
    const tag = continued ? undefined : TAGGED.exec(head)?.[1]
    const isExpected = continued || (head.startsWith('+') ? onContinuation() : tag === undefined || onTagged(tag))
    const bytes = isText ? undefined : LITERAL.exec(tail)?.[1]
    literalLeft = Number(bytes ?? 0)
    continued = bytes !== undefined
    head = tail = ''
    return isExpected
  }

  return (chunk: Buffer, pass: PassOn): boolean => {
    let from = 0
    let at = 0
    while (at < chunk.length) {
      if (literalLeft > 0) {
        const skipped = Math.min(literalLeft, chunk.length - at)
        literalLeft -= skipped
        at += skipped
        continue
      }
      if (head === '' && !continued && chunk[at] === PLUS && swallows()) {
        swallowing = true
        if (at > from) pass(chunk.subarray(from, at))
      }
      const end = chunk.indexOf(LF, at)
      const stop = end === -1 ? chunk.length : end + 1
      if (head.length < MAX_HEAD_BYTES) head += chunk.toString('latin1', at, Math.min(stop, at + MAX_HEAD_BYTES))
      tail = (tail + chunk.toString('latin1', Math.max(at, stop - MAX_TAIL_BYTES), stop)).slice(-MAX_TAIL_BYTES)
      at = stop
      if (swallowing) from = at
      if (end === -1) break
      swallowing = false
      if (!endLine()) return false
    }
    if (at > from) pass(chunk.subarray(from, at))
    return true
  }
}
