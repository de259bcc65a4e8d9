/**
 * IMAP towards the back end: greeting, capabilities, TLS, and the user's login played again. Trusts nothing that it reads:
 * every line is bounded, a greeting that is not OK is not a server to log in at, and nothing from before TLS counts after it.
 */
import { MuxError } from '../../errors.ts'
import type { MechanismName } from '../../config/settings.ts'
import type { Octets } from '../../octets.ts'
import type { BackendLogin, LoginAnswer, Wire } from '../protocol.ts'
import { relaySasl } from '../relay-sasl.ts'
import { encodePlain } from '../sasl.ts'
import { boundWire } from '../bounded-wire.ts'
import { ID_TAG, MAX_LINE_BYTES, readAnswer, type Answer } from './answer.ts'
import { parseBackendCapability, parseSessionCapability, withImplied, type BackendCapability } from './capability.ts'
import { ImapGuard } from './guard.ts'
import { formatIdCommand } from './identity.ts'
import { formatQuoted } from '../reader.ts'
import { parseStatus, type Status } from './parse.ts'
import { refusalOf } from './refusal.ts'
import { showAnswers, showCommands } from './shown.ts'
import { ImapWatch } from './watch.ts'

/** @throws MuxError backend-* where the conversation cannot lead to a login */
export async function replayLogin(wire: Wire, login: BackendLogin): Promise<LoginAnswer> {
  const backend = boundWire(wire)
  const capability = await negotiate(backend, login.startTls)
  // After TLS, never before: it says where the client is (RFC 2971 does not ask for privacy, we do).
  const identity = capability.id && login.identity ? `${formatIdCommand(ID_TAG, login.identity)}\r\n` : ''
  login.aboutToTell()
  const answer = await logIn(backend, login, capability, identity)
  if (answer === 'cancelled') return { accepted: false, refusal: { reason: 'cancelled' }, detail: 'the client gave up' }
  if (answer.status.type !== 'OK') return { accepted: false, ...refusalOf(answer.status) }
  const { code, codeArguments, text } = answer.status
  const inAnswer = code === 'CAPABILITY' ? codeArguments : undefined
  const { untagged } = answer
  // A server that tells its capabilities neither in the answer nor beside it is asked, so that the client need not be told stale ones.
  const words = inAnswer ?? answer.capability ?? (await askSessionCapability(backend, untagged))
  const after = words === undefined ? undefined : parseSessionCapability(words)
  const mayUnauthenticate = capability.words.includes('UNAUTHENTICATE') || (after?.unauthenticate ?? true)
  return {
    accepted: true,
    untagged,
    capability: after && { words: after.words, where: inAnswer === undefined ? 'beside' : 'answer' },
    code: code === 'REFERRAL' ? undefined : codeOf(answer.status), // it names hosts behind mailmux
    text: text || 'Logged in',
    watch: mayUnauthenticate ? new ImapGuard() : new ImapWatch(),
  }
}

/** What a back end can do before login, asked on a connection that is for nothing else. @throws MuxError as replayLogin */
export async function askCapabilities(wire: Wire, startTls: boolean): Promise<readonly string[]> {
  const backend = boundWire(wire)
  const { words } = await negotiate(backend, startTls)
  backend.write('L LOGOUT\r\n', showCommands)
  return withImplied(words)
}

/** From the greeting to the capabilities that count: those from before TLS are forgotten (RFC 9051 6.2.1). */
async function negotiate(backend: Wire, tls: boolean): Promise<BackendCapability> {
  let words = parseGreeting(await backend.readLine(MAX_LINE_BYTES, showAnswers))
  if (tls) {
    await startTls(backend, words)
    words = undefined
  }
  const capability = parseBackendCapability(words ?? (await askCapability(backend)))
  if (!capability) throw new MuxError('backend-garbage', 'the back end does not announce IMAP4rev1')
  return capability
}

/** RFC 9051 7.1.4, 7.1.5: with PREAUTH the session belongs to another user, so it is refused. @returns the capabilities in the greeting, if any */
function parseGreeting(line: Octets): string | undefined {
  const greeting = parseStatus(line)
  if (greeting?.tag === '*' && greeting.type === 'OK') {
    return greeting.code === 'CAPABILITY' ? greeting.codeArguments : undefined
  }
  if (greeting?.type === 'BYE') throw new MuxError('backend-bye', `the back end greeted with BYE: ${greeting.text}`)
  throw new MuxError('backend-garbage', `not an IMAP greeting: ${JSON.stringify(line.slice(0, 80))}`)
}

async function startTls(backend: Wire, words: string | undefined): Promise<void> {
  const capability = parseBackendCapability(words ?? (await askCapability(backend)))
  if (!capability?.canStartTls) throw new MuxError('backend-no-starttls', 'the back end does not offer STARTTLS')
  backend.write('S STARTTLS\r\n', showCommands)
  const { status } = await readAnswer(backend, 'S')
  if (status.type !== 'OK') throw new MuxError('backend-no-starttls', `the back end refused STARTTLS: ${status.text}`)
  await backend.startTls()
}

async function askCapability(backend: Wire): Promise<string> {
  backend.write('C CAPABILITY\r\n', showCommands)
  const { status, capability } = await readAnswer(backend, 'C')
  if (status.type !== 'OK' || capability === undefined) {
    throw new MuxError('backend-garbage', 'the back end does not answer CAPABILITY')
  }
  return capability
}

/**
 * After a login. Some stores refuse everything to a user whose IMAP access is disabled; the user is to read why.
 * @param untagged what else comes with the answer goes here, for the client
 */
async function askSessionCapability(backend: Wire, untagged: string[]): Promise<string | undefined> {
  backend.write('C CAPABILITY\r\n', showCommands)
  const { status, capability, untagged: more } = await readAnswer(backend, 'C')
  untagged.push(...more)
  if (status.type === 'OK') return capability
  const code = status.code === undefined || status.code === 'CAPABILITY' ? '' : `[${codeOf(status)}] `
  untagged.push(`* ${status.type} ${code}${status.text}`)
  return undefined
}

/** An initial response that makes the line longer than this goes on a line of its own: servers cut commands off at 8 KiB. */
const MAX_INITIAL_RESPONSE = 4096

/** RFC 7888 5: what a server with LITERAL- takes unasked. */
const MAX_NON_SYNC_LITERAL = 4096

/** What is written when the back end says `+ challenge`. */
type Respond = (challenge: string) => string | Promise<string>

/** @param before a command whose answer does not matter, sent along so that it costs no round trip */
function logIn(
  backend: Wire,
  login: BackendLogin,
  capability: BackendCapability,
  before: string,
): Promise<Answer | 'cancelled'> {
  const { user, credentials } = login
  if (credentials.kind === 'relayed') {
    return relaySasl(user, credentials, {
      offered: capability.mechanisms,
      describe: (mechanism) => `AUTH=${mechanism}`,
      authenticate: (mechanism, first, respond) => authenticate(backend, mechanism, first, capability, before, respond),
      isRefusal: ({ status }) => status.type !== 'OK',
    })
  }
  if (capability.mechanisms.includes('PLAIN')) {
    return authenticate(backend, 'PLAIN', encodePlain(user, credentials), capability, before, nothingMore)
  }
  return logInByName(backend, user, credentials, capability, before)
}

/** By the command LOGIN. */
async function logInByName(
  backend: Wire,
  user: Octets,
  credentials: Extract<BackendLogin['credentials'], { kind: 'password' }>,
  capability: BackendCapability,
  before: string,
): Promise<Answer> {
  if (!capability.login) throw new MuxError('backend-no-mechanism', 'the back end offers neither AUTH=PLAIN nor LOGIN')
  if (user !== credentials.authcid) {
    throw new MuxError('backend-no-mechanism', 'the back end lacks AUTH=PLAIN, and LOGIN cannot carry an authzid')
  }
  // What needs a literal ends a step: without LITERAL+ the back end is asked to go on before each (RFC 9051 4.3).
  const steps: string[] = []
  let step: string = `${before}A LOGIN`
  for (const octets of [user, credentials.password.reveal()]) {
    const quoted = formatQuoted(octets)
    if (quoted !== undefined) step += ` ${quoted}`
    else if (capability.nonSyncLiterals && octets.length <= MAX_NON_SYNC_LITERAL)
      step += ` {${octets.length}+}\r\n${octets}`
    else {
      steps.push(`${step} {${octets.length}}`)
      step = octets
    }
  }
  steps.push(step)
  const answer = await converse(backend, steps.shift() ?? '', () => steps.shift() ?? nothingMore())
  if (steps.length > 0 && answer.status.type === 'OK') throw acceptedUnseen()
  return answer
}

/** RFC 4959: the first message goes along with the command where it may. */
function authenticate(
  backend: Wire,
  mechanism: MechanismName,
  first: string,
  capability: BackendCapability,
  before: string,
  respond: Respond,
): Promise<Answer> {
  const command = `${before}A AUTHENTICATE ${mechanism}`
  if (capability.saslIr && first.length <= MAX_INITIAL_RESPONSE)
    return converse(backend, `${command} ${first}`, respond)
  return respondWithFirst(backend, command, first, respond)
}

/** The first message follows when the back end asks for it. */
async function respondWithFirst(backend: Wire, command: string, first: string, respond: Respond): Promise<Answer> {
  const said = { first: false }
  const answer = await converse(backend, command, (challenge) => {
    if (said.first) return respond(challenge)
    said.first = true
    return first
  })
  if (!said.first && answer.status.type === 'OK') throw acceptedUnseen()
  return answer
}

/** An OK before the credentials were sent does not come from a correct mail server. */
function acceptedUnseen(): MuxError {
  return new MuxError('backend-garbage', 'the back end accepts a login unseen')
}

/** Writes a command and what the back end asks for beyond it; a refusal on the way is the answer. */
async function converse(backend: Wire, command: string, respond: Respond): Promise<Answer> {
  const untagged: string[] = []
  backend.write(`${command}\r\n`, showCommands)
  for (;;) {
    const answer = await readAnswer(backend, 'A', { mayContinue: true, untagged })
    if (!('challenge' in answer)) return answer
    backend.write(`${await respond(answer.challenge)}\r\n`)
  }
}

function nothingMore(): never {
  throw new MuxError('backend-garbage', 'the back end asks for more than it was to be given')
}

/** The response code with its arguments. */
function codeOf({ code, codeArguments }: Status): string | undefined {
  return code && code + (codeArguments && ` ${codeArguments}`)
}
