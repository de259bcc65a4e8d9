/**
 * Reads a command or a response that is a line with literals in it (RFC 9051 4.3, RFC 7888, RFC 5804 4), and the strings in that. Literals
 * are read here alone, so that their octets are bounded in one place.
 */
import type { Octets } from '../octets.ts'
import type { Wire } from './protocol.ts'

/** Text as it stood on the wire, or the octets of a literal. A command is texts with literals between them. */
export type Piece = { text: string } | { literal: string }

export type LiteralMarker = { bytes: number; synchronising: boolean; before: string }

/** The literal that a line announces at its end: `{n}`, which in IMAP waits for a continuation, or `{n+}`. undefined: none. */
export function parseLiteralMarker(line: string): LiteralMarker | undefined {
  if (!line.endsWith('}')) return undefined
  const match = /\{(\d+)(\+?)\}$/.exec(line)
  if (!match) return undefined
  return { bytes: Number(match[1]), synchronising: match[2] === '', before: line.slice(0, match.index) }
}

export type LiteralLimits = {
  /** of one literal */
  literalBytes: number
  /** of a line behind a literal */
  lineBytes: number
  /** of the lines and literals together */
  allBytes: number
}

/** Lines without their ends, and a literal between each two of them. */
export type LinesWithLiterals = { lines: string[]; literals: Octets[] }

/**
 * Reads the literals that a line announces, and the lines behind them.
 * @param take called before each literal is read: it asks for the literal where the protocol wants that (RFC 9051 4.3), or throws.
 * `fits` is false where the literal is over the limits. @returns false where it is refused, and nothing more is to be read
 * @returns undefined where a literal was refused
 */
export async function readLiterals(
  wire: Wire,
  line: string,
  { literalBytes, allBytes, lineBytes }: LiteralLimits,
  take: (marker: LiteralMarker, fits: boolean) => boolean,
): Promise<LinesWithLiterals | undefined> {
  const lines = [line]
  const literals: Octets[] = []
  let bytes = line.length
  for (let marker = parseLiteralMarker(line); marker; marker = parseLiteralMarker(line)) {
    bytes += marker.bytes
    if (!take(marker, marker.bytes <= literalBytes && bytes <= allBytes)) return undefined
    literals.push(await wire.readBytes(marker.bytes))
    line = await wire.readLine(Math.max(0, Math.min(lineBytes, allBytes - bytes)))
    bytes += line.length
    lines.push(line)
  }
  return { lines, literals }
}

/** The same as pieces: the texts end before the markers. */
export function piecesOf({ lines, literals }: LinesWithLiterals): Piece[] {
  if (literals.length === 0) return [{ text: lines[0] ?? '' }] // nearly every command
  return lines.flatMap((line, index): Piece[] => {
    const literal = literals[index]
    return literal === undefined ? [{ text: line }] : [{ text: line.slice(0, line.lastIndexOf('{')) }, { literal }]
  })
}

/** A quoted string; servers take a backslash before any character (RFC 9051 9 has it before quotes and backslashes). */
export const QUOTED = '"((?:[^"\\\\\\r\\n\\0]|\\\\[^\\r\\n\\0])*)"'
/** An atom as Dovecot takes it: RFC 9051 9 leaves out `%`, `*` and backslashes, and clients send names and passwords with them. */
const ATOM = '([^\\x00-\\x20\\x7f(){"]+)'
/** With the spaces before it. */
const ASTRING = new RegExp(`( *)(?:${QUOTED}|${ATOM})`, 'y')

/** The content of a quoted string as it was meant. */
export function unquote(text: string): string {
  return text.includes('\\') ? text.replace(/\\(.)/g, '$1') : text
}

/**
 * Arguments that are all astrings (RFC 9051 9: atom, quoted string or literal), parted and surrounded by any number of spaces.
 * @returns their octets, or undefined where the grammar is not met
 */
export function parseStrings(pieces: readonly Piece[]): string[] | undefined {
  const values: string[] = []
  // After a value only a space or the end may come.
  let wantsValue = true
  for (const piece of pieces) {
    if ('literal' in piece) {
      if (!wantsValue) return undefined
      values.push(piece.literal)
      wantsValue = false
      continue
    }
    const { text } = piece
    for (let at = 0; at < text.length; at = ASTRING.lastIndex) {
      ASTRING.lastIndex = at
      const match = ASTRING.exec(text)
      if (!match) {
        if (!/^ *$/.test(text.slice(at))) return undefined
        wantsValue = true
        break
      }
      if (!wantsValue && match[1] === '') return undefined
      values.push(match[3] ?? unquote(match[2] ?? ''))
      wantsValue = false
    }
  }
  return values
}

/** An astring for the wire: quoted where that can carry it, else undefined and a literal is needed (RFC 9051 9: QUOTED-CHAR). */
export function formatQuoted(octets: string): string | undefined {
  if (!/^[\x20-\x7e]*$/.test(octets)) return undefined
  return `"${octets.replace(/["\\]/g, '\\$&')}"`
}
