/**
 * IMAP's grammar before login (RFC 9051 9): commands with their literals, strings, and server responses. Pure: text in, values out.
 */

/** Text as it stood on the wire, or the octets of a literal. A command is texts with literals between them. */
export type Piece = { text: string } | { literal: string }

export type LiteralMarker = { bytes: number; synchronising: boolean; before: string }

/** The literal that a line announces at its end (`{n}`, RFC 7888 `{n+}`); undefined where it announces none. */
export function parseLiteralMarker(line: string): LiteralMarker | undefined {
  if (!line.endsWith('}')) return undefined
  const match = /\{(\d+)(\+?)\}$/.exec(line)
  if (!match) return undefined
  return { bytes: Number(match[1]), synchronising: match[2] === '', before: line.slice(0, match.index) }
}

/** Tag and command name of a line, the name in upper case. An invalid tag is undefined and must never be echoed. */
export function parseCommandStart(line: string): { tag: string | undefined; name: string; rest: string } {
  const match = /^([^ ]+)(?: +([^ ]*)(?: (.*))?)?$/s.exec(line)
  if (!match) return { tag: undefined, name: '', rest: '' }
  const [, tag = '', name = '', rest = ''] = match
  return { tag: isTag(tag) ? tag : undefined, name: name.toUpperCase(), rest }
}

/** RFC 9051 9: tag = 1*<any ASTRING-CHAR except "+">. Longer than 64 no client needs, and it is echoed. */
function isTag(tag: string): boolean {
  return tag.length <= 64 && /^[\x21\x23\x24\x26\x27\x2c-\x5b\x5d-\x7a\x7c\x7e]+$/.test(tag)
}

/** A quoted string; servers take a backslash before any character (RFC 9051 9 has it before quotes and backslashes). */
const QUOTED = '"((?:[^"\\\\\\r\\n\\0]|\\\\[^\\r\\n\\0])*)"'
/** An atom as Dovecot takes it: RFC 9051 9 leaves out `%`, `*` and backslashes, and clients send names and passwords with them. */
const ATOM = '([^\\x00-\\x20\\x7f(){"]+)'
const ASTRING = new RegExp(`^(?:${QUOTED}|${ATOM})`)
const ID_ITEM = new RegExp(`^(?:${QUOTED}|(NIL)(?=[ )]|$))`, 'i')

/** By hand: an expression that looks for spaces before an end takes quadratic time on a line of spaces. */
function trimSpaces(text: string): string {
  let start = 0
  let end = text.length
  while (text[start] === ' ') start++
  while (end > start && text[end - 1] === ' ') end--
  return text.slice(start, end)
}

function unquote(text: string): string {
  return text.replace(/\\(.)/g, '$1')
}

/**
 * Arguments that are all astrings (RFC 9051 9: atom, quoted string or literal), parted and surrounded by any number of spaces.
 * @returns their octets, or undefined where the grammar is not met
 */
export function parseAStrings(pieces: readonly Piece[]): string[] | undefined {
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
    let rest = piece.text
    while (rest !== '') {
      const spaces = /^ */.exec(rest)?.[0].length ?? 0
      rest = rest.slice(spaces)
      wantsValue ||= spaces > 0
      if (rest === '') break
      const match = wantsValue ? ASTRING.exec(rest) : null
      if (!match) return undefined
      values.push(match[2] ?? unquote(match[1] ?? ''))
      rest = rest.slice(match[0].length)
      wantsValue = false
    }
  }
  return values
}

/**
 * The pairs of an ID command (RFC 2971 3.1), by lower-case key; a NIL value leaves its key out, and no argument is as good as NIL.
 * @returns undefined where it is neither NIL nor a list of pairs, or goes over the RFC's limits (30 pairs, keys of 30, values of 1024 octets)
 */
export function parseIdPairs(pieces: readonly Piece[]): Map<string, string> | undefined {
  const [first] = pieces
  if (pieces.length === 1 && first && 'text' in first && /^(?:NIL)?$/i.test(trimSpaces(first.text))) return new Map()
  const values: (string | undefined)[] = []
  for (const [index, piece] of pieces.entries()) {
    if ('literal' in piece) {
      values.push(piece.literal)
      continue
    }
    let rest = trimSpaces(piece.text)
    if (index === 0) {
      if (!rest.startsWith('(')) return undefined
      rest = rest.slice(1)
    }
    if (index === pieces.length - 1) {
      if (!rest.endsWith(')')) return undefined
      rest = rest.slice(0, -1)
    }
    for (rest = trimSpaces(rest); rest !== ''; rest = trimSpaces(rest)) {
      const match = ID_ITEM.exec(rest)
      if (!match) return undefined
      values.push(match[2] === undefined ? unquote(match[1] ?? '') : undefined)
      rest = rest.slice(match[0].length)
    }
  }
  if (values.length % 2 !== 0 || values.length > 60) return undefined
  const pairs = new Map<string, string>()
  for (let i = 0; i < values.length; i += 2) {
    const [key, value] = [values[i], values[i + 1]]
    if (key === undefined || key.length > 30 || (value ?? '').length > 1024) return undefined
    if (value !== undefined) pairs.set(key.toLowerCase(), value)
  }
  return pairs
}

/** An astring for the wire: quoted where that can carry it, else undefined and a literal is needed (RFC 9051 9: QUOTED-CHAR). */
export function formatQuoted(octets: string): string | undefined {
  if (!/^[\x20-\x7e]*$/.test(octets)) return undefined
  return `"${octets.replace(/["\\]/g, '\\$&')}"`
}

/** A status response: `* OK [CODE args] text` or `tag NO text`. */
export type Status = { tag: string; type: string; code: string | undefined; codeArguments: string; text: string }

/** @returns undefined where the line is not OK, NO, BAD, BYE or PREAUTH */
export function parseStatus(line: string): Status | undefined {
  const match = /^([^ ]+) (OK|NO|BAD|BYE|PREAUTH)(?: \[([^\] ]+)(?: ([^\]]*))?\])?(?: (.*)|$)/i.exec(line)
  if (!match) return undefined
  const [, tag = '', type = '', code, codeArguments = '', text = ''] = match
  return { tag, type: type.toUpperCase(), code: code?.toUpperCase(), codeArguments, text }
}

/** The words of an untagged `* CAPABILITY ...`; undefined where the line is another. */
export function parseCapabilityLine(line: string): string | undefined {
  return /^\* CAPABILITY (.*)$/i.exec(line)?.[1]
}
