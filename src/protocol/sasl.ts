/**
 * SASL towards the client, the same for every protocol: each mechanism's messages, and the checks that every credential passes before
 * it may be replayed anywhere.
 */
import type { MechanismName } from '../config/settings.ts'
import { asOctets, bytesOf, octetsOf, type Octets } from '../octets.ts'
import { Secret } from '../secret.ts'
import { mostBytes } from './credential-bounds.ts'
import type { Credentials } from './protocol.ts'

/** A token of an OAuth provider is 2 to 4 KiB, with claims for everything 16; beyond 64 KiB nothing is a token. */
export const MAX_SASL_LINE_BYTES = 64 * 1024

/** What an exchange has come to: a name and its proof, or why not. */
export type SaslOutcome =
  | PasswordLogin
  | 'cancelled'
  | 'malformed'
  /** well formed, with an empty name or password */
  | 'empty'
  /** the certificate is not of the user in the authzid */
  | 'not-authorized'

/** A user and what proves who that is. */
type PasswordLogin = { user: Octets; credentials: Credentials }

export type SaslExchange = {
  /** the client's initial response as it stood on the wire (base64, or `=` for an empty one); undefined: none was sent */
  initial: string | undefined
  /** Sends a challenge (base64) and reads the client's line. */
  ask: (challenge: string) => Promise<string>
  certifiedUser: Octets | undefined
}

/** Runs the part of a mechanism that needs no back end. @throws what `ask` throws */
export async function runMechanism(mechanism: MechanismName, exchange: SaslExchange): Promise<SaslOutcome> {
  if (mechanism === 'LOGIN') return runLogin(exchange)
  const first = readResponse(exchange.initial ?? (await exchange.ask('')))
  if (typeof first === 'string') return first
  switch (mechanism) {
    case 'PLAIN':
      return decodePlain(first.octets)
    case 'EXTERNAL':
      return takeCertificate(first.octets, exchange.certifiedUser)
    case 'XOAUTH2':
      return relayed(mechanism, exchange, decodeXoauth2(first.octets))
    case 'OAUTHBEARER':
      return relayed(mechanism, exchange, decodeOauthBearer(first.octets))
    case 'SCRAM-SHA-1':
    case 'SCRAM-SHA-256':
      return relayed(mechanism, exchange, decodeScram(first.octets))
  }
}

/** The mechanism LOGIN, which no RFC defines: two challenges whose text clients ignore. */
async function runLogin({ initial, ask }: SaslExchange): Promise<SaslOutcome> {
  const user = readResponse(initial ?? (await ask(encodeBase64('Username:'))))
  if (typeof user === 'string') return user
  const password = readResponse(await ask(encodeBase64('Password:')))
  if (typeof password === 'string') return password
  if (hasControlCharacter(user.octets) || hasControlCharacter(password.octets)) return 'malformed'
  if (user.octets === '' || password.octets === '') return 'empty'
  return byPassword(user.octets, password.octets)
}

/** The login of a user who gives a password. @param user @param password octets, without control characters */
export function byPassword(user: string, password: string): PasswordLogin {
  const authcid = asOctets(user)
  return { user: authcid, credentials: { kind: 'password', authcid, password: new Secret(asOctets(password)) } }
}

/** RFC 4422 appendix A: with an empty authzid, the certificate names the user. */
function takeCertificate(authzid: Octets, certifiedUser: Octets | undefined): SaslOutcome {
  if (certifiedUser === undefined || (authzid !== '' && authzid !== certifiedUser)) return 'not-authorized'
  return { user: certifiedUser, credentials: { kind: 'certificate' } }
}

type FirstMessage = { user: Octets; rewrite: (user: Octets) => Octets | undefined }

function relayed(mechanism: MechanismName, { ask }: SaslExchange, first: FirstMessage | undefined): SaslOutcome {
  if (first === undefined || hasControlCharacter(first.user)) return 'malformed'
  if (first.user === '') return 'empty'
  const firstMessage = (user: Octets): Secret<Octets> | undefined => {
    const message = first.rewrite(user)
    return message === undefined ? undefined : new Secret(message)
  }
  // A line that is no SASL line, or is longer than servers accept, is not passed on; the back end gets a cancellation.
  const converse = async (challenge: string): Promise<string> => {
    const line = await ask(challenge)
    const answer = decodeBase64(line)
    return answer === undefined || answer.length > mostBytes(mechanism) ? '*' : line
  }
  return { user: first.user, credentials: { kind: 'relayed', mechanism, firstMessage, converse } }
}

/** Google's and Microsoft's own: `user=` name, `auth=Bearer` token, parted and ended by ^A. */
export function decodeXoauth2(octets: Octets): FirstMessage | undefined {
  const match = /^user=([^\x01]*)\x01(auth=[^\x01]+\x01\x01)$/i.exec(octets)
  if (!match) return undefined
  const [, user = '', rest = ''] = match
  return { user: asOctets(user), rewrite: (name) => asOctets(`user=${name}\x01${rest}`) }
}

/** RFC 7628 3.1. No channel binding: it would bind to our TLS, not to the back end's. */
export function decodeOauthBearer(octets: Octets): FirstMessage | undefined {
  const match = /^[ny],a=([^,\x01]*),(\x01(?:[^\x01]+\x01)*\x01)$/.exec(octets)
  const user = decodeSaslName(match?.[1] ?? '')
  if (!match || user === undefined) return undefined
  return { user, rewrite: (name) => asOctets(`n,a=${encodeSaslName(name)},${match[2] ?? ''}`) }
}

/**
 * RFC 5802 7, client-first-message. The proof that follows covers it, so that it can go to the back end as it is or not at all.
 * A name there that differs from ours only in its domain's case is the same; every other needs a rewrite and gets none.
 */
export function decodeScram(octets: Octets): FirstMessage | undefined {
  const match = /^[ny],(?:a=([^,]+))?,n=([^,]*),r=[\x21-\x2b\x2d-\x7e]+(?:,[A-Za-z]=[^,]*)*$/.exec(octets)
  if (!match) return undefined
  const [, authzid, authcid = ''] = match
  const name = decodeSaslName(authcid)
  const user = authzid === undefined || authcid === '' ? name : decodeSaslName(authzid)
  if (name === undefined || user === undefined || hasControlCharacter(name)) return undefined
  return { user, rewrite: (name) => (lowerAscii(name) === lowerAscii(user) ? octets : undefined) }
}

/** Octets beyond ASCII are parts of characters, and have no case of their own. */
function lowerAscii(octets: Octets): string {
  return octets.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** RFC 5802 5.1: `=2C` and `=3D` stand for comma and equals sign, and nothing else follows an equals sign. */
function decodeSaslName(name: string): Octets | undefined {
  if (/=(?!2C|3D)/.test(name)) return undefined
  return asOctets(name.replace(/=2C/g, ',').replace(/=3D/g, '='))
}

function encodeSaslName(name: Octets): string {
  return name.replace(/=/g, '=3D').replace(/,/g, '=2C')
}

/** One line of the client's: `*` cancels (RFC 9051 6.2.2, RFC 5034 4), `=` is an empty initial response. */
function readResponse(line: string): { octets: Octets } | 'cancelled' | 'malformed' {
  if (line === '*') return 'cancelled'
  const octets = line === '=' ? asOctets('') : decodeBase64(line)
  return octets === undefined ? 'malformed' : { octets }
}

/** Strict base64 (RFC 4648 4: padding required, no other characters); undefined where it is not. */
export function decodeBase64(text: string): Octets | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined
  return octetsOf(Buffer.from(text, 'base64'))
}

/** @throws RangeError where the string is text and no octets */
export function encodeBase64(octets: string): string {
  return bytesOf(asOctets(octets)).toString('base64')
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

/** A PLAIN message (RFC 4616 2) taken apart; `malformed` where it carries control characters, too. */
export function decodePlain(octets: Octets): PasswordLogin | 'malformed' | 'empty' {
  const parts = octets.split('\0')
  if (parts.length !== 3 || parts.some(hasControlCharacter)) return 'malformed'
  const [authzid = '', authcid = '', password = ''] = parts
  if (authcid === '' || password === '') return 'empty'
  const login = byPassword(authcid, password)
  return authzid === '' ? login : { ...login, user: asOctets(authzid) }
}

/** The PLAIN message for the back end. The authzid goes along only where it says something: some servers refuse any. */
export function encodePlain(
  user: Octets,
  { authcid, password }: { authcid: Octets; password: Secret<Octets> },
): string {
  const authzid = user === authcid ? '' : user
  return encodeBase64(`${authzid}\0${authcid}\0${password.reveal()}`)
}
