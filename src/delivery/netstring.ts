/** Netstrings (https://cr.yp.to/proto/netstrings.txt), the framing of a socketmap: `5:hello,`. Pure. */

/** `length`: how many octets the netstring takes at the beginning of the input. */
export type NetstringRead = { payload: Buffer; length: number } | 'more' | 'malformed'

const COLON = 0x3a
const COMMA = 0x2c
const ZERO = 0x30

/**
 * Reads the netstring at the beginning of the input. What is malformed stays so whatever follows it.
 * @param maxBytes of the payload; a longer one is malformed as soon as its length is known, so that it is never buffered
 */
export function readNetstring(bytes: Buffer, maxBytes: number): NetstringRead {
  const maxDigits = String(maxBytes).length
  let size = 0
  let at = 0
  for (; at < bytes.length && bytes[at] !== COLON; at++) {
    const digit = (bytes[at] ?? 0) - ZERO
    // "0:," is the empty netstring; any other length begins with another digit.
    if (digit < 0 || digit > 9 || at === maxDigits || (at > 0 && size === 0)) return 'malformed'
    size = size * 10 + digit
  }
  if (size > maxBytes) return 'malformed'
  if (at === bytes.length) return 'more'
  if (at === 0) return 'malformed'
  const end = at + 1 + size
  if (bytes.length <= end) return 'more'
  return bytes[end] === COMMA ? { payload: bytes.subarray(at + 1, end), length: end + 1 } : 'malformed'
}

/** @param text becomes UTF-8 */
export function writeNetstring(text: string): string {
  return `${Buffer.byteLength(text)}:${text},`
}
