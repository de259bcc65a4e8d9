/** ManageSieve's grammar before login (RFC 5804 4): words, quoted strings and literals, facing either side. */
import { MuxError, type ErrorCode } from '../../errors.ts'
import type { Wire } from '../protocol.ts'
import { piecesOf, readLiterals } from '../reader.ts'

/** A part of a command or of a response. A string lost its quotes or its literal marker. */
export type Token = { kind: 'word' | 'string' | 'parenthesis'; text: string }

/** A base64 token of OAuth (sasl.ts) is the longest string before login. A larger value would let a stranger use more memory. */
export const MAX_STRING_BYTES = 64 * 1024
/** A whole command or response: one such string, and room for the rest. */
const MAX_TOTAL_BYTES = 80 * 1024

/** A word, a parenthesis, or a quoted string. RFC 5804 4 escapes only `"` and `\`; some clients escape more. */
const TOKEN = / *(?:([()])|"((?:[^"\\\0]|\\[^\0])*)"|([^\s"(){}\\\0]+))/y
/** @returns the tokens of a text without literals; undefined where it is malformed */
export function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  let end = 0
  for (let match = TOKEN.exec(text); match; match = TOKEN.exec(text)) {
    end = TOKEN.lastIndex
    const [, parenthesis, quoted, word = ''] = match
    if (parenthesis !== undefined) tokens.push({ kind: 'parenthesis', text: parenthesis })
    else if (quoted !== undefined) tokens.push({ kind: 'string', text: quoted.replace(/\\(.)/gs, '$1') })
    else tokens.push({ kind: 'word', text: word })
  }
  return /^ *$/.test(text.slice(end)) ? tokens : undefined
}

/**
 * Reads the rest of a command or response whose first line is `first`, with its literals. The octets of a literal follow whatever the
 * reader thinks of the line, so they are always consumed: they never count as commands.
 * @param lineBytes the bound of each line behind a literal
 * @returns its tokens; undefined where it is malformed
 * @throws MuxError `tooLarge`, or what the wire throws
 */
export async function readTokens(
  wire: Wire,
  first: string,
  lineBytes: number,
  tooLarge: ErrorCode,
): Promise<Token[] | undefined> {
  const limits = { literalBytes: MAX_STRING_BYTES, lineBytes, allBytes: MAX_TOTAL_BYTES }
  const whole = await readLiterals(wire, first, limits, ({ bytes }, fits) => {
    if (!fits) throw new MuxError(tooLarge, `a literal of ${bytes} bytes before login`)
    return true
  })
  const tokens: Token[] = []
  for (const piece of whole ? piecesOf(whole) : []) {
    const part: Token[] | undefined =
      'literal' in piece ? [{ kind: 'string', text: piece.literal }] : tokenize(piece.text)
    if (part === undefined) return undefined
    tokens.push(...part)
  }
  return tokens
}

/** RFC 5804 4: a quoted string has at most 1,024 octets, and no line end or NUL. @returns the text as a string of the protocol, server to client */
export function formatString(text: string): string {
  if (text.length <= 1024 && !/[\r\n\0]/.test(text)) return `"${text.replace(/["\\]/g, '\\$&')}"`
  return `{${text.length}}\r\n${text}`
}

/** The same from a client to a server: the literal is a non-synchronising one. */
export function formatClientString(text: string): string {
  return formatString(text).replace(/^\{(\d+)\}/, '{$1+}')
}

/** `OK`, `NO` or `BYE` with its response code and its text (RFC 5804 1.3), or a line of data. */
export type Response =
  | { type: 'OK' | 'NO' | 'BYE'; code: string | undefined; codeArguments: string[]; text: string }
  | { type: 'data'; tokens: Token[] }

/** @returns undefined where the tokens are no response */
export function parseResponse(tokens: readonly Token[]): Response | undefined {
  const [first, ...rest] = tokens
  if (first === undefined) return undefined
  const type = first.kind === 'word' ? first.text.toUpperCase() : 'data'
  if (type !== 'OK' && type !== 'NO' && type !== 'BYE') {
    return first.kind === 'string' ? { type: 'data', tokens: [...tokens] } : undefined
  }
  let code: string | undefined
  let codeArguments: string[] = []
  if (rest[0]?.text === '(' && rest[0].kind === 'parenthesis') {
    const close = rest.findIndex(({ kind, text }) => kind === 'parenthesis' && text === ')')
    if (close < 2 || rest[1]?.kind !== 'word') return undefined
    code = rest[1].text.toUpperCase()
    codeArguments = rest.slice(2, close).map(({ text }) => text)
    rest.splice(0, close + 1)
  }
  const [text, ...more] = rest
  // RFC 5804 4: the text is a string. Servers have been seen to send a bare word.
  if (more.length > 0 || text?.kind === 'parenthesis') return undefined
  return { type, code, codeArguments, text: text?.text ?? '' }
}
