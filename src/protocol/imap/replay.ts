/**
 * IMAP towards the back end: greeting, capabilities, TLS, and the user's login played again. Trusts nothing that it reads:
 * every line is bounded, a greeting that is not OK is not a server to log in at, and what was said in clear is void after TLS.
 */
import { MuxError } from '../../errors.ts'
import type { BackendLogin, LoginAnswer, Refusal, Wire } from '../protocol.ts'
import { encodePlain } from '../sasl.ts'
import { parseBackendCapability, relayedCapability, type BackendCapability } from './capability.ts'
import { formatQuoted, parseCapabilityLine, parseStatus, type Status } from './parse.ts'

/** A capability list of a well-fed server is about 1 KiB; eight times that is somebody's mistake. */
const MAX_LINE_BYTES = 8192
/** Untagged lines that are kept for the client while a command is answered (an ALERT or two). */
const MAX_UNTAGGED = 32

/** A tagged answer, and what came before it. */
type Answer = { status: Status; capability: string | undefined; untagged: string[] }

/** @throws MuxError backend-* where the conversation cannot lead to a login */
export async function replayLogin(backend: Wire, login: BackendLogin): Promise<LoginAnswer> {
  let words = await readGreeting(backend)
  if (login.startTls) {
    await startTls(backend, words)
    words = undefined
  }
  const capability = parseBackendCapability(words ?? (await askCapability(backend)))
  if (!capability) throw new MuxError('backend-garbage', 'the back end does not announce IMAP4rev1')

  const answer = await logIn(backend, login, capability)
  if (answer.status.type !== 'OK') return { accepted: false, ...refusalOf(answer.status) }
  const { code, codeArguments, text } = answer.status
  const inAnswer = code === 'CAPABILITY' ? codeArguments : undefined
  // A server that tells its capabilities neither in the answer nor beside it is asked, so that the client need not be told stale ones.
  const after = inAnswer ?? answer.capability ?? (await askCapability(backend, answer.untagged))
  return {
    accepted: true,
    untagged: answer.untagged,
    capability: { words: relayedCapability(after), where: inAnswer === undefined ? 'beside' : 'answer' },
    code: code && code + (codeArguments && ` ${codeArguments}`),
    text: text || 'Logged in',
  }
}

/** RFC 9051 7.1.4, 7.1.5: PREAUTH is somebody's session, and not this user's. @returns the capabilities in the greeting, if any */
async function readGreeting(backend: Wire): Promise<string | undefined> {
  const line = await backend.readLine(MAX_LINE_BYTES)
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
  backend.write('S STARTTLS\r\n')
  const { status } = await readAnswer(backend, 'S')
  if (status.type !== 'OK') throw new MuxError('backend-no-starttls', `the back end refused STARTTLS: ${status.text}`)
  await backend.startTls()
}

/** Other untagged lines that come with the answer go into `untagged`, where given. */
async function askCapability(backend: Wire, untagged?: string[]): Promise<string> {
  backend.write('C CAPABILITY\r\n')
  const answer = await readAnswer(backend, 'C')
  untagged?.push(...answer.untagged)
  if (answer.status.type !== 'OK' || answer.capability === undefined) {
    throw new MuxError('backend-garbage', 'the back end does not answer CAPABILITY')
  }
  return answer.capability
}

/** PLAIN in one round trip where the back end can (RFC 4959), else PLAIN in two, else LOGIN. */
async function logIn(backend: Wire, login: BackendLogin, capability: BackendCapability): Promise<Answer> {
  if (capability.plain) {
    const message = encodePlain(login)
    if (capability.saslIr) {
      backend.write(`A AUTHENTICATE PLAIN ${message}\r\n`)
      return readAnswer(backend, 'A')
    }
    return writeInSteps(backend, ['A AUTHENTICATE PLAIN', message])
  }
  if (!capability.login) throw new MuxError('backend-no-mechanism', 'the back end offers neither AUTH=PLAIN nor LOGIN')
  if (login.user !== login.authcid) {
    throw new MuxError('backend-no-mechanism', 'the back end lacks AUTH=PLAIN, and LOGIN cannot carry an authzid')
  }
  // Parts that need a literal end a step: without LITERAL+ the back end is asked to go on before each (RFC 9051 4.3).
  const steps: string[] = []
  let step = 'A LOGIN'
  for (const octets of [login.user, login.password.reveal()]) {
    const quoted = formatQuoted(octets)
    if (quoted !== undefined) step += ` ${quoted}`
    else if (capability.literal) step += ` {${octets.length}+}\r\n${octets}`
    else {
      steps.push(`${step} {${octets.length}}`)
      step = octets
    }
  }
  return writeInSteps(backend, [...steps, step])
}

/** Writes each step as a line when the back end has asked for it; a refusal on the way is the answer. */
async function writeInSteps(backend: Wire, steps: readonly string[]): Promise<Answer> {
  for (const [index, step] of steps.entries()) {
    backend.write(`${step}\r\n`)
    const last = index === steps.length - 1
    const answer = await readAnswer(backend, 'A', !last)
    if (answer !== 'continue') return answer
  }
  throw new MuxError('backend-garbage', 'the back end asks for more than it was to be given')
}

async function readAnswer(backend: Wire, tag: string): Promise<Answer>
async function readAnswer(backend: Wire, tag: string, mayContinue: boolean): Promise<Answer | 'continue'>
async function readAnswer(backend: Wire, tag: string, mayContinue = false): Promise<Answer | 'continue'> {
  let capability: string | undefined
  const untagged: string[] = []
  for (;;) {
    const line = await backend.readLine(MAX_LINE_BYTES)
    // RFC 9051 7.6 wants a space after the plus; some servers leave it out.
    if (line.startsWith('+')) {
      if (mayContinue) return 'continue'
      throw new MuxError('backend-garbage', 'the back end asks for a continuation that it was not offered')
    }
    const status = parseStatus(line)
    if (status?.tag === tag) return { status, capability, untagged }
    if (status?.type === 'BYE') throw new MuxError('backend-bye', `the back end said BYE: ${status.text}`)
    if (!line.startsWith('* '))
      throw new MuxError('backend-garbage', `not an IMAP response: ${JSON.stringify(line.slice(0, 80))}`)
    const words = parseCapabilityLine(line)
    if (words !== undefined) capability = words
    else if (untagged.length < MAX_UNTAGGED) untagged.push(line)
    else throw new MuxError('backend-garbage', `more than ${MAX_UNTAGGED} untagged responses before an answer`)
  }
}

/** Codes of RFC 5530 and its like that tell a user something; what else a server says stays in the log, lest it reveal who exists. */
const PASSED_ON = new Set(['EXPIRED', 'CONTACTADMIN', 'LIMIT', 'ALERT', 'OVERQUOTA', 'INUSE'])

function refusalOf({ type, code, text }: Status): { refusal: Refusal; detail: string } {
  const detail = `the back end said ${type}${code === undefined ? '' : ` [${code}]`} ${text}`
  if (code === 'UNAVAILABLE') throw new MuxError('backend-unavailable', detail)
  if (code === 'SERVERBUG' || code === 'PRIVACYREQUIRED') return { refusal: { reason: 'misconfigured' }, detail }
  if (code === 'AUTHORIZATIONFAILED') return { refusal: { reason: 'authorization-failed' }, detail }
  if (code !== undefined && PASSED_ON.has(code)) return { refusal: { reason: 'passed-on', code, text }, detail }
  return { refusal: { reason: 'authentication-failed' }, detail }
}
