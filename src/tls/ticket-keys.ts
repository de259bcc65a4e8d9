/**
 * The keys that session tickets are sealed with, out of a secret that all workers and instances share: each of them
 * takes back the tickets of the others without a word between them. A new day has new keys, and forgets the old ones.
 */
import { hkdfSync } from 'node:crypto'

/** A stolen key opens the resumed sessions of a day and no more; the price is one full handshake for each client at midnight. */
const LIFETIME_MS = 24 * 60 * 60 * 1000

/** What node:tls wants as `ticketKeys`: 16 bytes of key name, 16 to sign with, 16 to encrypt with. */
const KEYS_BYTES = 48

/**
 * HKDF-SHA256 (RFC 5869) over the secret and the number of the day, counted in UTC.
 * @param secret must be long and random: whoever guesses it reads resumed sessions
 * @param atMs milliseconds since 1970; clocks that disagree only cost full handshakes around midnight
 * @returns the keys, and the time from which others take their place
 */
export function deriveTicketKeys(secret: string, atMs: number): { keys: Buffer; validUntilMs: number } {
  if (secret === '') throw new RangeError('ticket keys from an empty secret')
  const day = Math.floor(atMs / LIFETIME_MS)
  const keys = hkdfSync('sha256', secret, 'mailmux session tickets', `day ${day}`, KEYS_BYTES)
  return { keys: Buffer.from(keys), validUntilMs: (day + 1) * LIFETIME_MS }
}
