/**
 * Octets and text, which are both strings in JavaScript, as types that the compiler does not mix.
 * What crosses the wire is octets: one character for each octet, U+0000 to U+00FF ("latin1"). What the configuration, a certificate or
 * a directory holds is text: UTF-16. Text that is written out as octets loses the high byte of each code unit, which makes one user's
 * name of another's: `šlice` (U+0161) becomes `alice`. Every conversion is done here.
 */

declare const kind: unique symbol

/** One character for each octet. Only the functions of this file make octets of a string. */
export type Octets = string & { readonly [kind]: 'octets' }

/** Any string but octets. A plain `string` is text. */
export type Text = string & { readonly [kind]?: 'text' }

/** @throws RangeError where a character is not an octet: the string was text. The value is not in the message, as it may be a secret. */
export function asOctets(octets: string): Octets {
  if (/[^\x00-\xff]/.test(octets)) throw new RangeError('text where octets are expected')
  return octets as Octets
}

/** The octets of a text in UTF-8. */
export function encodeUtf8(text: Text): Octets {
  return (/^[\x00-\x7f]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')) as Octets
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text that the octets are in UTF-8; undefined where they are not UTF-8 (RFC 3629 3: overlong forms and surrogates are not). */
export function decodeUtf8(octets: Octets): Text | undefined {
  if (/^[\x00-\x7f]*$/.test(octets)) return octets as string
  const bytes = bytesOf(octets)
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}

/** The octets of a buffer, or those before `end`. */
export function octetsOf(bytes: Buffer, end?: number): Octets {
  return bytes.toString('latin1', 0, end) as Octets
}

/** A buffer with these octets. */
export function bytesOf(octets: Octets): Buffer {
  return Buffer.from(octets, 'latin1')
}
