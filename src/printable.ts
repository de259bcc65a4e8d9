/** Text from outside, for a log line or a terminal: no character of it acts on the reader. Pure. */

import { StringDecoder } from 'node:string_decoder'

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
  const rest = start.length < octets.length ? '' : decoder.end() // a character that was cut here says nothing
  if (!`${text}${rest}`.includes('\ufffd')) return toPrintable(text, maxLength)
  const shown = start.length > maxLength ? `${start.slice(0, maxLength)}…` : start
  return shown.replace(/[\0-\x1f\x7f-\xff\\]/g, (one) =>
    one >= '\x80' ? `\\x${one.charCodeAt(0).toString(16)}` : toPrintable(one, 1),
  )
}
