/**
 * The keys that encrypt session tickets, derived from a secret that all workers and instances share, so that each of them accepts
 * the tickets of the others. Keys are replaced at midnight UTC, and tickets of the day before are no longer accepted.
 */
import { hkdfSync } from 'node:crypto'

/** A stolen key decrypts the resumed sessions of one day only. The cost is one full handshake for each client at midnight. */
const LIFETIME_MS = 24 * 60 * 60 * 1000

/** Size of `ticketKeys` of node:tls: 16 bytes of key name, 16 for the signature, 16 for the encryption. */
const KEYS_BYTES = 48

/**
 * HKDF-SHA256 (RFC 5869) over the secret, the number of the day, counted in UTC, and the scope.
 * @param secret must be long and random: with a guessed secret, resumed sessions can be decrypted and forged
 * @param scope a ticket of one scope is not accepted in another
 * @param atMs milliseconds since 1970; if the clocks of instances differ, there are more full handshakes around midnight
 */
export function deriveTicketKeys(secret: string, scope: string, atMs: number): Buffer {
  if (secret === '') throw new RangeError('ticket keys from an empty secret')
  const day = Math.floor(atMs / LIFETIME_MS)
  return Buffer.from(hkdfSync('sha256', secret, 'mailmux session tickets', `day ${day} ${scope}`, KEYS_BYTES))
}

/** The time at which the keys derived at `atMs` are replaced, in milliseconds since 1970. */
export function ticketKeysEndMs(atMs: number): number {
  return (Math.floor(atMs / LIFETIME_MS) + 1) * LIFETIME_MS
}
