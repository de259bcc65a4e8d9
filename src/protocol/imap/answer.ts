/** Reads a back end's answer to one command, with the untagged responses before it (RFC 9051 7). */
import { MuxError } from '../../errors.ts'
import { meaningOf } from '../known-words.ts'
import type { Wire } from '../protocol.ts'
import { readLiterals } from '../reader.ts'
import { parseCapabilityLine, parseStatus, type Status } from './parse.ts'
import { showAnswers } from './shown.ts'

/** A capability list of a server with many extensions is about 1 KiB. */
export const MAX_LINE_BYTES = 8192
/** Untagged responses that are kept for the client while a command is answered (an ALERT or two). */
const MAX_UNTAGGED = 32

/** The tag of the ID command, whose answer mailmux does not use. */
export const ID_TAG = 'I'

/** A tagged answer, and what came before it. */
export type Answer = { status: Status; capability: string | undefined; untagged: string[] }

type ReadOptions = {
  mayContinue: boolean
  /** where untagged responses for the client go; shared by the steps of one command */
  untagged: string[]
}

/** @throws MuxError `backend-bye`, `backend-garbage`, and as the wire does */
export async function readAnswer(backend: Wire, tag: string): Promise<Answer>
export async function readAnswer(
  backend: Wire,
  tag: string,
  options: ReadOptions,
): Promise<Answer | { challenge: string }>
export async function readAnswer(
  backend: Wire,
  tag: string,
  { mayContinue, untagged }: ReadOptions = { mayContinue: false, untagged: [] },
): Promise<Answer | { challenge: string }> {
  let capability: string | undefined
  for (;;) {
    const line = await backend.readLine(MAX_LINE_BYTES, showAnswers)
    // RFC 9051 7.6 requires a space after the plus; some servers omit it.
    if (line.startsWith('+')) {
      if (mayContinue) return { challenge: line.slice(line.startsWith('+ ') ? 2 : 1) }
      throw new MuxError('backend-garbage', 'the back end asks for a continuation that it was not offered')
    }
    const status = parseStatus(line)
    if (status?.tag === tag) return { status, capability, untagged }
    if (status?.tag === '*' && status.code === 'CAPABILITY') {
      capability = status.codeArguments // as good as the untagged response of that name
      continue
    }
    if (status?.type === 'BYE') {
      // Courier ends the session of an account that may not use IMAP so, with a BYE in place of an answer.
      const meaning = meaningOf(status.text)
      if (meaning !== undefined && meaning !== 'unavailable')
        return { status: { ...status, tag, type: 'NO' }, capability, untagged }
      throw new MuxError('backend-bye', `the back end said BYE: ${status.text}`)
    }
    if (status?.tag === ID_TAG) continue
    if (!line.startsWith('* '))
      throw new MuxError('backend-garbage', `not an IMAP response: ${JSON.stringify(line.slice(0, 80))}`)
    // RFC 9051 7.1: human text ends a status response, and a brace in it announces nothing.
    const response = status ? line : await readResponse(backend, line)
    if (/^\* ID /i.test(response)) continue // the answer to ours, and none of the client's
    const words = parseCapabilityLine(response)
    if (words !== undefined) capability = words
    else if (untagged.length < MAX_UNTAGGED) untagged.push(response)
    else throw new MuxError('backend-garbage', `more than ${MAX_UNTAGGED} untagged responses before an answer`)
  }
}

/** The octets of all responses before a result are bounded by the wire (bounded-wire.ts). */
const LIMITS = { literalBytes: MAX_LINE_BYTES, lineBytes: MAX_LINE_BYTES, allBytes: Infinity }

/** @returns the response with its literals, and the lines between them */
async function readResponse(backend: Wire, line: string): Promise<string> {
  const read = await readLiterals(backend, line, LIMITS, ({ bytes }, fits) => {
    if (!fits) throw new MuxError('backend-garbage', `a literal of ${bytes} bytes before an answer`)
    return true
  })
  return (read?.lines ?? []).map((text, index) => text + literalAt(read?.literals ?? [], index)).join('')
}

function literalAt(literals: readonly string[], index: number): string {
  const literal = literals[index]
  return literal === undefined ? '' : `\r\n${literal}`
}
