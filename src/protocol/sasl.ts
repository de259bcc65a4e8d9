/** SASL messages as octets: decoding, and the checks that every credential passes before it may be replayed anywhere. */
import { Secret } from '../secret.ts'

/** Strict base64 (RFC 4648 4: padding required, no other characters); undefined where it is not. Octets as latin1. */
export function decodeBase64(text: string): string | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined
  return Buffer.from(text, 'base64').toString('latin1')
}

export function encodeBase64(octets: string): string {
  return Buffer.from(octets, 'latin1').toString('base64')
}

/**
 * True where a name or password holds an ASCII control character. POP3 sends both raw, so that a CR LF
 * inside a decoded credential would be a command of the client's choosing in the back end's ear.
 */
export function hasControlCharacter(octets: string): boolean {
  for (let i = 0; i < octets.length; i++) {
    const octet = octets.charCodeAt(i)
    if (octet < 0x20 || octet === 0x7f) return true
  }
  return false
}

/** A PLAIN message (RFC 4616 2) taken apart; undefined where it is malformed or carries control characters. */
export function decodePlain(octets: string): { user: string; authcid: string; password: Secret } | undefined {
  const parts = octets.split('\0')
  if (parts.length !== 3) return undefined
  const [authzid = '', authcid = '', password = ''] = parts
  if (authcid === '' || password === '' || parts.some(hasControlCharacter)) return undefined
  return { user: authzid === '' ? authcid : authzid, authcid, password: new Secret(password) }
}

/** The PLAIN message for the back end. The authzid goes along only where it says something: some servers refuse any. */
export function encodePlain(login: { user: string; authcid: string; password: Secret }): string {
  const authzid = login.user === login.authcid ? '' : login.user
  return encodeBase64(`${authzid}\0${login.authcid}\0${login.password.reveal()}`)
}
