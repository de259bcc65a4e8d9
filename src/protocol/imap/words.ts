/** Tags and command names (RFC 9051 9), read octet by octet: a call into native code costs more than a short word. */

const LOWER_A = 97
const LOWER_Z = 122

/** tag = 1*<any ASTRING-CHAR except "+"> */
export const TAG_OCTETS = octetsOf(/[!#$&',-[\]-z|~]/)
export const NAME_OCTETS = octetsOf(/[A-Za-z0-9._-]/)

/** A table is cheaper than an expression for each octet. */
function octetsOf(pattern: RegExp): readonly boolean[] {
  return Array.from({ length: 256 }, (_, octet) => pattern.test(String.fromCharCode(octet)))
}

/** @returns the index behind the octets from `from` on that are allowed, at most `most` of them */
export function findWordEnd(chunk: Buffer, from: number, allowed: readonly boolean[], most: number): number {
  const stop = Math.min(chunk.length, from + most)
  let at = from
  while (at < stop && allowed[chunk[at] ?? 0]) at++
  return at
}

export function readWord(chunk: Buffer, from: number, end: number): string {
  let word = ''
  for (let at = from; at < end; at++) word += String.fromCharCode(chunk[at] ?? 0)
  return word
}

/** As `readWord`, with ASCII letters in upper case. */
export function readUpperWord(chunk: Buffer, from: number, end: number): string {
  let word = ''
  for (let at = from; at < end; at++) word += upperCase(chunk[at] ?? 0)
  return word
}

export function upperCase(octet: number): string {
  return String.fromCharCode(octet >= LOWER_A && octet <= LOWER_Z ? octet - 32 : octet)
}

/** DONE may cross the answer of a back end that has refused or ended the IDLE. Then it looks like a tag. */
export function isDone(text: string): boolean {
  return text.length === 4 && text.toUpperCase() === 'DONE'
}
