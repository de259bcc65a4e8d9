/**
 * POP3 towards the back end: greeting, capabilities, TLS, and the user's login played again. Trusts nothing that it reads:
 * every line is bounded, and what was said in clear is void after TLS.
 */
import { MuxError } from '../../errors.ts'
import type { BackendLogin, LoginAnswer, Refusal, Wire } from '../protocol.ts'
import { encodePlain } from '../sasl.ts'
import { parseBackendCapability, type BackendCapability } from './capability.ts'
import { parseResponse, type Response } from './parse.ts'

/** RFC 2449 4: a response line is at most 512 octets; servers with talkative banners get four times that. */
const MAX_LINE_BYTES = 2048
const MAX_CAPABILITY_LINES = 64
/** RFC 5034 4: a command with an initial response is at most 255 octets with its CRLF. */
const MAX_AUTH_LINE_BYTES = 255

/** @throws MuxError backend-* where the conversation cannot lead to a login */
export async function replayLogin(backend: Wire, login: BackendLogin): Promise<LoginAnswer> {
  const greeting = await readResponse(backend)
  if (!greeting.ok) throw new MuxError('backend-bye', `the back end greeted with -ERR ${greeting.text}`)

  let capability = await askCapability(backend)
  if (login.startTls) {
    if (!capability.canStartTls) throw new MuxError('backend-no-starttls', 'the back end does not offer STLS')
    backend.write('STLS\r\n')
    const answer = await readResponse(backend)
    if (!answer.ok) throw new MuxError('backend-no-starttls', `the back end refused STLS: ${answer.text}`)
    await backend.startTls()
    capability = await askCapability(backend)
  }

  const answer = await logIn(backend, login, capability)
  if (!answer.ok) return { accepted: false, ...refusalOf(answer) }
  return { accepted: true, untagged: [], capability: undefined, code: answer.code, text: answer.text || 'Logged in.' }
}

async function readResponse(backend: Wire): Promise<Response> {
  const line = await backend.readLine(MAX_LINE_BYTES)
  const response = parseResponse(line)
  if (response) return response
  throw new MuxError('backend-garbage', `not a POP3 response: ${JSON.stringify(line.slice(0, 80))}`)
}

async function askCapability(backend: Wire): Promise<BackendCapability> {
  backend.write('CAPA\r\n')
  const lines: string[] = []
  if ((await readResponse(backend)).ok) {
    for (
      let line = await backend.readLine(MAX_LINE_BYTES);
      line !== '.';
      line = await backend.readLine(MAX_LINE_BYTES)
    ) {
      if (lines.push(line) > MAX_CAPABILITY_LINES)
        throw new MuxError('backend-garbage', 'the capability list does not end')
    }
  }
  return parseBackendCapability(lines)
}

async function logIn(backend: Wire, login: BackendLogin, capability: BackendCapability): Promise<Response> {
  if (capability.plain) {
    const message = encodePlain(login)
    const command = `AUTH PLAIN ${message}\r\n`
    if (command.length <= MAX_AUTH_LINE_BYTES) {
      backend.write(command)
      return readResponse(backend)
    }
    return writeThenContinue(backend, 'AUTH PLAIN\r\n', `${message}\r\n`)
  }
  if (login.user !== login.authcid) {
    throw new MuxError('backend-no-mechanism', 'the back end lacks SASL PLAIN, and USER cannot carry an authzid')
  }
  backend.write(`USER ${login.user}\r\n`)
  const answer = await readResponse(backend)
  if (!answer.ok) return answer
  backend.write(`PASS ${login.password.reveal()}\r\n`)
  return readResponse(backend)
}

async function writeThenContinue(backend: Wire, command: string, message: string): Promise<Response> {
  backend.write(command)
  const line = await backend.readLine(MAX_LINE_BYTES)
  // RFC 5034 4: "+ " alone asks for the response; some servers leave the space out.
  if (!/^\+( |$)/.test(line)) {
    const refusal = parseResponse(line)
    if (refusal && !refusal.ok) return refusal
    throw new MuxError('backend-garbage', `not an answer to AUTH: ${JSON.stringify(line.slice(0, 80))}`)
  }
  backend.write(message)
  return readResponse(backend)
}

/** Codes that tell a user something (RFC 2449 8.1); what else a server says stays in the log, lest it reveal who exists. */
const PASSED_ON = new Set(['IN-USE', 'LOGIN-DELAY', 'LIMIT'])

function refusalOf({ code, text }: Response): { refusal: Refusal; detail: string } {
  const detail = `the back end said -ERR${code === undefined ? '' : ` [${code}]`} ${text}`
  if (code === 'SYS/TEMP') throw new MuxError('backend-unavailable', detail)
  if (code === 'SYS/PERM') return { refusal: { reason: 'misconfigured' }, detail }
  if (code !== undefined && PASSED_ON.has(code)) return { refusal: { reason: 'passed-on', code, text }, detail }
  return { refusal: { reason: 'authentication-failed' }, detail }
}
