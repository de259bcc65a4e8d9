/**
 * Text from outside (back ends, the directory, files, an admin port) for a log line, a terminal or a mail client: no character of it
 * acts on the reader. The one place for this. Pure.
 */

import { StringDecoder } from 'node:string_decoder'
import { asOctets, decodeUtf8, encodeUtf8, type Octets } from './octets.ts'

/**
 * Control characters (C0, DEL, C1), which terminals obey; line and paragraph separators; marks that change the direction of text
 * (Unicode UAX 9), which make a line read as another; other invisible format characters; halves of surrogate pairs; the backslash, so
 * that an escape cannot be forged.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\\]/gu

/** @returns at most `maxLength` characters of `text`, unprintable ones as `\u{202e}`; a text that was cut ends in `…` */
export function toPrintable(text: string, maxLength: number): string {
  const shown = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text
  return shown.replace(UNPRINTABLE, (one) => (one === '\\' ? '\\\\' : `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`))
}

/** The same for octets as they came (latin1): UTF-8 where they are that, else each octet above 127 as `\xff`. */
export function octetsToPrintable(octets: string, maxLength: number): string {
  const start = octets.slice(0, (maxLength + 1) * 4) // no character of UTF-8 is longer than four octets
  const decoder = new StringDecoder('utf8')
  const text = decoder.write(Buffer.from(start, 'latin1'))
  const rest = start.length < octets.length ? '' : decoder.end() // a character that was cut here is dropped
  if (!`${text}${rest}`.includes('\ufffd')) return toPrintable(text, maxLength)
  const shown = start.length > maxLength ? `${start.slice(0, maxLength)}…` : start
  return shown.replace(/[\0-\x1f\x7f-\xff\\]/g, (one) =>
    one >= '\x80' ? `\\x${one.charCodeAt(0).toString(16)}` : toPrintable(one, 1),
  )
}

/** What stands in place of such a character in text for people. */
const MARK = '\u{fffd}'

const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
const OBEYED_BUT_TAB = /[^\P{Cc}\t]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
/** Line ends and spaces between the values of a JSON text are no part of a value; within a value JSON has no raw C0 character. */
const OBEYED_IN_JSON = /[^\P{Cc}\n\t]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** One line of text, with a mark for each such character; not even a tab is left. */
export function printable(text: string): string {
  return text.replace(OBEYED, MARK)
}

/** One line of text in which tabs stay, as in a line of a file. A mark is as long as what it replaces, so that columns stay true. */
export function printableLine(text: string, mark: string = MARK): string {
  return text.replace(OBEYED_BUT_TAB, (found) => mark.repeat(found.length))
}

/** Several lines, as of a stack. */
export function printableLines(text: string): string {
  return text
    .split('\n')
    .map((line) => printableLine(line))
    .join('\n')
}

/**
 * A line of a mail protocol, or a literal, whose line ends stay. RFC 9051 allows UTF-8 in the text for people, so that C1 and
 * bidirectional controls may come as UTF-8. What is no UTF-8 may be of an older character set and stays, but for its octets 0x80 to
 * 0x9F, which are C1 there. As long as before, so that the length of a literal stays true.
 */
export function printableOctets(octets: Octets): Octets {
  if (/^[\t -~]*$/.test(octets)) return octets
  const text = decodeUtf8(octets)
  if (text === undefined) {
    const kept = asOctets(
      octets.replace(/[^\t -~\xa0-\xff]/g, (found, at: number) => (isLineEnd(octets, at) ? found : '?')),
    )
    // What is left may be UTF-8 now, with such characters in it.
    return decodeUtf8(kept) === undefined ? kept : printableOctets(kept)
  }
  return encodeUtf8(
    text.replace(OBEYED_BUT_TAB, (found, at: number) =>
      isLineEnd(text, at) ? found : '?'.repeat(Buffer.byteLength(found)),
    ),
  )
}

/** Whether the character at `at` is one of CRLF. */
function isLineEnd(text: string, at: number): boolean {
  return text.startsWith('\r\n', at) || text.startsWith('\r\n', at - 1)
}

/** A JSON text of the same value without raw characters of this kind: each is escaped, as JSON allows for any character. */
export function escapeInJson(json: string): string {
  // Nearly every log line. JSON escapes every control character of ASCII but DEL.
  if (Buffer.byteLength(json) === json.length && !json.includes('\x7f')) return json
  return json.replace(OBEYED_IN_JSON, escapeUnits)
}

/** A JSON text whose values show such characters as `\u001b`, also where they were escaped. Line ends and tabs stay what they are. */
export function showInJson(json: string): string {
  const escaped = escapeInJson(json)
  if (!/\\[bfru]/u.test(escaped)) return escaped
  return escaped.replace(
    /\\(?:u([0-9a-fA-F]{4})|([^u]))/gu,
    (found, hex: string | undefined, short: string | undefined) => {
      const character = hex === undefined ? SHORT[short ?? ''] : String.fromCharCode(Number.parseInt(hex, 16))
      const isObeyed =
        character !== undefined && character !== '\n' && character !== '\t' && printable(character) !== character
      return isObeyed ? `\\${escapeUnits(character)}` : found
    },
  )
}

const SHORT: Partial<Record<string, string>> = { b: '\b', f: '\f', r: '\r' }

function escapeUnits(text: string): string {
  return text
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}
