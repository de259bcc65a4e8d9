/**
 * How long a name and its proof may be to go to a back end. Real servers hang up on what does not fit into their input buffers, which
 * looks like a fault of the server. What is longer than this is no user's password, and is refused as a wrong one. Pure.
 */
import type { Octets } from '../octets.ts'
import type { Credentials } from './protocol.ts'

/**
 * Names and password together, decoded; also an answer to a challenge of SCRAM. Dovecot 2.3 takes lines of 4096 octets before login
 * (LOGIN_MAX_INBUF_SIZE), and this leaves room for the command.
 */
export const MAX_CREDENTIAL_BYTES = 4000
/** A bearer token with its frame, decoded: 64 KiB of base64, the longest line that is read from a client (sasl.ts). */
export const MAX_TOKEN_BYTES = 48 * 1024

/**
 * `long`: a token that not every server takes. Dovecot 2.3 hangs up on more than 6144 octets (LOGIN_MAX_AUTH_BUF_SIZE, in base64).
 * @param user as the client gave it
 */
export function judgeLength(user: Octets, credentials: Credentials): 'usual' | 'long' | 'too-long' {
  const bytes = countBytes(user, credentials)
  if (bytes <= MAX_CREDENTIAL_BYTES) return 'usual'
  const mayBeLong =
    credentials.kind === 'relayed' && isToken(credentials.mechanism) && user.length <= MAX_CREDENTIAL_BYTES
  return mayBeLong && bytes <= MAX_TOKEN_BYTES ? 'long' : 'too-long'
}

function countBytes(user: Octets, credentials: Credentials): number {
  switch (credentials.kind) {
    case 'certificate':
      return user.length
    case 'password': {
      const { authcid, password } = credentials
      return (user === authcid ? 0 : user.length) + authcid.length + password.reveal().length
    }
    case 'relayed':
      return credentials.firstMessage(user)?.reveal().length ?? user.length
  }
}

/** How long a message of the client's may be, decoded: a bearer token, or everything else. */
export function mostBytes(mechanism: string): number {
  return isToken(mechanism) ? MAX_TOKEN_BYTES : MAX_CREDENTIAL_BYTES
}

/** Mechanisms whose first message carries a bearer token. */
function isToken(mechanism: string): boolean {
  return mechanism === 'XOAUTH2' || mechanism === 'OAUTHBEARER'
}
