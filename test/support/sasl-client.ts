/** The client's side of SASL: AUTHENTICATE and AUTH behind one face, and the messages of the mechanisms that a test computes itself. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import type { MailProtocol } from './mail-client.ts'
import type { Mailmux } from './mailmux.ts'
import type { ScriptedPeer } from './scripted-peer.ts'

export type SaslAnswer = {
  accepted: boolean
  /** the whole answer, without IMAP's tag */
  answer: string
  /** what the server asked on the way, decoded */
  challenges: string[]
}

/** Longer than mailmux's own limit for a login. */
const LOGIN_DEADLINE_MS = 40_000

/**
 * Runs one exchange to its end.
 * @param initial the initial response, not yet base64; undefined: none is sent
 * @param respond gives the answer to a challenge, not yet base64; `undefined` cancels with `*`
 */
export async function authenticate(
  { protocol, peer }: { protocol: MailProtocol; peer: ScriptedPeer },
  mechanism: string,
  initial: string | undefined,
  respond: (challenge: string, step: number) => string | undefined = () => undefined,
): Promise<SaslAnswer> {
  const command = protocol === 'imap' ? 's AUTHENTICATE' : 'AUTH'
  const first = initial === undefined ? '' : ` ${initial === '' ? '=' : toBase64(initial)}`
  peer.send(`${command} ${mechanism}${first}`)
  const challenges: string[] = []
  for (;;) {
    const line = await peer.readLine(LOGIN_DEADLINE_MS, 'the answer to a login')
    if (line.startsWith('+ ')) {
      const challenge = Buffer.from(line.slice(2), 'base64').toString('utf8')
      const response = respond(challenge, challenges.push(challenge))
      peer.send(response === undefined ? '*' : toBase64(response))
    } else if (protocol === 'pop3') {
      return { accepted: line.startsWith('+OK'), answer: line, challenges }
    } else if (line.startsWith('s ')) {
      return { accepted: line.startsWith('s OK'), answer: line.slice(2), challenges }
    }
  }
}

/** RFC 4616. */
export function plainMessage(user: string, password: string, authzid = ''): string {
  return `${authzid}\0${user}\0${password}`
}

/** RFC 7628 3.1. */
export function oauthBearerMessage(user: string, token: string): string {
  return `n,a=${user},\x01host=mail.example.test\x01auth=Bearer ${token}\x01\x01`
}

/** Google's and Microsoft's. */
export function xoauth2Message(user: string, token: string): string {
  return `user=${user}\x01auth=Bearer ${token}\x01\x01`
}

export type ScramClient = {
  first: string
  /** The client-final-message for the server's first one; then nothing for its proof, which must be right. */
  respond: (challenge: string, step: number) => string
}

/** RFC 5802, without channel binding. The client knows the password; nothing that it sends gives it away. */
export function scramClient(mechanism: 'SCRAM-SHA-1' | 'SCRAM-SHA-256', user: string, password: string): ScramClient {
  const hash = mechanism === 'SCRAM-SHA-1' ? 'sha1' : 'sha256'
  const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest()
  const nonce = randomBytes(18).toString('base64')
  const bare = `n=${user.replace(/=/g, '=3D').replace(/,/g, '=2C')},r=${nonce}`
  let serverProof = ''

  return {
    first: `n,,${bare}`,
    respond(challenge, step) {
      if (step === 2) {
        if (challenge !== `v=${serverProof}`) throw new Error(`the server has not proved itself: ${challenge}`)
        return ''
      }
      const [, serverNonce = '', salt = '', rounds = ''] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(challenge) ?? []
      if (!serverNonce.startsWith(nonce)) throw new Error(`not a server-first-message for us: ${challenge}`)
      const salted = pbkdf2Sync(
        password,
        Buffer.from(salt, 'base64'),
        Number(rounds),
        createHash(hash).digest().length,
        hash,
      )
      const clientKey = hmac(salted, 'Client Key')
      const withoutProof = `c=${toBase64('n,,')},r=${serverNonce}`
      const authMessage = `${bare},${challenge},${withoutProof}`
      const signature = hmac(createHash(hash).update(clientKey).digest(), authMessage)
      const proof = Buffer.from(clientKey.map((octet, at) => octet ^ signature[at]!)).toString('base64')
      serverProof = hmac(hmac(salted, 'Server Key'), authMessage).toString('base64')
      return `${withoutProof},p=${proof}`
    },
  }
}

/** The first of these that stands in mailmux's log, as it is or in base64 at any of the three offsets; undefined where none does. */
export function findInLog({ program }: Mailmux, ...secrets: string[]): string | undefined {
  const output = program.stdout() + program.stderr()
  return secrets.find((secret) => {
    const ways = ['', '\0', '\0\0'].map((before) => toBase64(before + secret).slice(4, -4)) // without what neighbours change
    return [secret, ...ways].some((text) => text.length >= 4 && output.includes(text))
  })
}

export function toBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}
