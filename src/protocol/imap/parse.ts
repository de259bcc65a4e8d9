/** IMAP's grammar before login (RFC 9051 9): commands and server responses; strings are in reader.ts. Pure: text in, values out. */
import { QUOTED, unquote, type Piece } from '../reader.ts'

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

const ID_ITEM = new RegExp(`^(?:${QUOTED}|(NIL)(?=[ )]|$))`, 'i')

/** By hand: an expression that looks for spaces before an end takes quadratic time on a line of spaces. */
function trimSpaces(text: string): string {
  let start = 0
  let end = text.length
  while (text[start] === ' ') start++
  while (end > start && text[end - 1] === ' ') end--
  return text.slice(start, end)
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
