/**
 * Keeps secrets out of log lines, health reports and answers of the admin API that quote a back end: servers repeat a command that
 * they do not know, and a terminal server repeats everything.
 */
import { MuxError } from '../errors.ts'
import { printableOctets } from '../printable.ts'
import type { BackendLogin } from '../protocol/protocol.ts'
import { encodeBase64, encodePlain } from '../protocol/sasl.ts'
import { asOctets } from '../octets.ts'

type Login = Pick<BackendLogin, 'user' | 'credentials'>

const HIDDEN = 'the back end repeats a password or token, so that its words are not shown'
/** Messages quote the beginning of a line, which may end within a secret. */
const RECOGNISED = 16

/** @returns `text`, or other words where it quotes a secret of the login */
export function hideSecrets(text: string, login: Login): string {
  const words = withoutEscapes(text)
  return secretsOf(login).some((secret) => words.includes(withoutEscapes(secret).slice(0, RECOGNISED))) ? HIDDEN : text
}

/** The same for an error's message. */
export function withoutSecrets(error: unknown, login: Login): unknown {
  if (!(error instanceof MuxError) || hideSecrets(error.message, login) === error.message) return error
  return new MuxError(error.code, HIDDEN)
}

/** In each form in which it goes over the wire. A quoted string, and JSON in a message, escape some characters. */
function secretsOf({ user, credentials }: Login): string[] {
  if (credentials.kind === 'password') {
    const password = credentials.password.reveal()
    return [password, printableOctets(password), encodePlain(user, credentials)]
  }
  // SCRAM sends nothing that would do for another login.
  const message = credentials.firstMessage(user)?.reveal() ?? ''
  const [, token] = /auth=Bearer +([^\x01]+)/i.exec(message) ?? []
  return token === undefined ? [] : [token, encodeBase64(asOctets(message))]
}

function withoutEscapes(text: string): string {
  return text.replaceAll('\\', '')
}
