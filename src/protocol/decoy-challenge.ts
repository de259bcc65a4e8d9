/**
 * The challenge of SCRAM for a user without a back end. A known user is challenged by a back end, so that a refusal
 * without a challenge would tell who exists. The salt is the same for each attempt of a user, as a stored one is.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { MechanismName } from '../config/settings.ts'
import { encodeBase64 } from './sasl.ts'

/** The shape of Dovecot's challenges (2.3, for passwords that `doveadm pw` has made): salt, iterations, length of the server's nonce. */
const SALT_BYTES = 16
const ITERATIONS = 4096
const NONCE_CHARACTERS = 64

export type DecoyChallenge = (mechanism: MechanismName, user: string, firstMessage: string) => string

/**
 * @param secret what instances share that are to give the same challenge for a user
 * @returns makes the challenge in base64, RFC 5802 7 server-first-message. `user` is the name that routes are kept under, `firstMessage`
 * the client-first-message, decoded
 */
export function createDecoyChallenge(secret: string): DecoyChallenge {
  const key = createHmac('sha256', secret).update('mailmux SCRAM decoy').digest()
  return (mechanism, user, firstMessage) => {
    const clientNonce = /,r=([^,]*)/.exec(firstMessage)?.[1] ?? ''
    const salt = createHmac('sha256', key).update(`${mechanism}\0${user}`).digest().subarray(0, SALT_BYTES)
    return encodeBase64(`r=${clientNonce}${makeNonce()},s=${salt.toString('base64')},i=${ITERATIONS}`)
  }
}

/** Whether the client gives the name of another user beside its own (RFC 5802 7: authzid). @param firstMessage as above */
export function actsForAnother(firstMessage: string): boolean {
  const [, authzid, authcid] = /^[^,]*,a=([^,]+),n=([^,]*),/.exec(firstMessage) ?? []
  return authzid !== authcid
}

/** RFC 5802 7: printable characters but the comma. */
function makeNonce(): string {
  const characters = Array.from(randomBytes(NONCE_CHARACTERS), (byte) => String.fromCharCode(0x21 + (byte % 93)))
  return characters.join('').replaceAll(',', '~')
}
