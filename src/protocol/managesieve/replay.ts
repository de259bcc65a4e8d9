/**
 * ManageSieve towards the back end: greeting, TLS, and the user's login played again (RFC 5804). Trusts nothing that it reads: every
 * line and literal is bounded, and nothing from before TLS counts after it.
 */
import type { MechanismName } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import { boundWire } from '../bounded-wire.ts'
import type { BackendLogin, LoginAnswer, Wire } from '../protocol.ts'
import { relaySasl } from '../relay-sasl.ts'
import { encodePlain, MAX_SASL_LINE_BYTES } from '../sasl.ts'
import { formatXclient } from '../xclient.ts'
import { parseBackendCapability, type BackendCapability } from './capability.ts'
import { formatClientString, formatString, parseResponse, readTokens, type Response, type Token } from './parse.ts'
import { refusalOf } from './refusal.ts'
import { showAnswers, showCommand } from './shown.ts'
import { ManagesieveWatch } from './watch.ts'

/** The line SIEVE of a server with every extension has less than 1 KiB. */
const MAX_LINE_BYTES = 8192
/** RFC 5804 1.7 has twelve capabilities. */
const MAX_CAPABILITY_LINES = 64

type Ending = Exclude<Response, { type: 'data' }>

/** @throws MuxError backend-* where the conversation cannot lead to a login */
export async function replayLogin(wire: Wire, login: BackendLogin): Promise<LoginAnswer> {
  const backend = boundWire(wire)
  const capability = await negotiate(backend, login.startTls)
  login.aboutToTell()
  if (capability.xclient && login.identity) await expectOk(backend, formatXclient(login.identity))
  // A back end may refuse XCLIENT. To detect a loop to mailmux itself, the TTL is sent by a command of its own.
  if (capability.proxyTtl) await expectOk(backend, `X-PROXY-TTL ${login.ttl}`)
  const answer = await logIn(backend, login, capability)
  if (answer === 'cancelled') return { accepted: false, refusal: { reason: 'cancelled' }, detail: 'the client gave up' }
  if (answer.type !== 'OK') return { accepted: false, ...refusalOf(answer) }
  const [serverFinal] = answer.codeArguments
  return {
    accepted: true,
    untagged: [],
    capability: undefined,
    // RFC 5804 2.1: the server's last message, by which a client of SCRAM verifies the server. Other codes are about the back end.
    code: answer.code === 'SASL' && serverFinal !== undefined ? `SASL ${formatString(serverFinal)}` : undefined,
    text: answer.text || 'Logged in.',
    watch: new ManagesieveWatch(),
  }
}

/** What a back end can do before login, asked on a connection that is for nothing else. @throws MuxError as replayLogin */
export async function askCapabilities(wire: Wire, startTls: boolean): Promise<readonly string[]> {
  const backend = boundWire(wire)
  const { words } = await negotiate(backend, startTls)
  backend.write('LOGOUT\r\n', showCommand)
  return words
}

/** From the greeting to the capabilities that count: those from before TLS are forgotten (RFC 5804 2.2). */
async function negotiate(backend: Wire, tls: boolean): Promise<BackendCapability> {
  const capability = await readCapability(backend)
  if (!tls) return capability
  if (!capability.canStartTls) throw new MuxError('backend-no-starttls', 'the back end does not offer STARTTLS')
  backend.write('STARTTLS\r\n', showCommand)
  const answer = await readEnding(backend)
  if (answer.type !== 'OK') throw new MuxError('backend-no-starttls', `the back end refused STARTTLS: ${answer.text}`)
  await backend.startTls()
  return readCapability(backend) // unasked
}

/** The greeting, or the block after TLS: data lines and an OK. */
async function readCapability(backend: Wire): Promise<BackendCapability> {
  const lines: Token[][] = []
  for (;;) {
    const response = await readResponse(backend)
    if (response.type === 'data') {
      if (lines.push(response.tokens) > MAX_CAPABILITY_LINES)
        throw new MuxError('backend-garbage', 'the capability list does not end')
      continue
    }
    if (response.type !== 'OK')
      throw new MuxError('backend-bye', `the back end greeted with ${response.type} ${response.text}`)
    // RFC 5804 1.7: IMPLEMENTATION and SIEVE are always there. An OK alone may be another protocol's.
    if (lines.length === 0) throw new MuxError('backend-garbage', 'the back end announces no capabilities')
    return parseBackendCapability(lines)
  }
}

/** @throws MuxError `backend-no-mechanism` where the back end refuses what it has announced */
async function expectOk(backend: Wire, command: string): Promise<void> {
  backend.write(`${command}\r\n`, showCommand)
  const answer = await readEnding(backend)
  if (answer.type !== 'OK')
    throw new MuxError('backend-no-mechanism', `the back end refused ${command.split(' ')[0] ?? ''}: ${answer.text}`)
}

async function readEnding(backend: Wire): Promise<Ending> {
  const response = await readResponse(backend)
  if (response.type !== 'data') return response
  throw new MuxError('backend-garbage', 'data in place of OK, NO or BYE')
}

async function readResponse(backend: Wire, maxLineBytes = MAX_LINE_BYTES): Promise<Response> {
  const first = await backend.readLine(maxLineBytes, showAnswers)
  const tokens = await readTokens(backend, first, MAX_LINE_BYTES, 'backend-garbage')
  const response = tokens && parseResponse(tokens)
  if (response) return response
  throw new MuxError('backend-garbage', `not a ManageSieve response: ${JSON.stringify(first.slice(0, 80))}`)
}

async function logIn(backend: Wire, login: BackendLogin, capability: BackendCapability): Promise<Ending | 'cancelled'> {
  const { user, credentials } = login
  if (credentials.kind === 'relayed') {
    return relaySasl(user, credentials, {
      offered: capability.mechanisms,
      describe: (mechanism) => `SASL ${mechanism}`,
      authenticate: (mechanism, first, respond) => authenticate(backend, mechanism, first, respond),
      isRefusal: ({ type }) => type === 'NO',
    })
  }
  if (!capability.mechanisms.includes('PLAIN'))
    throw new MuxError('backend-no-mechanism', 'the back end does not offer SASL PLAIN')
  return authenticate(backend, 'PLAIN', encodePlain(user, credentials), () => {
    throw new MuxError('backend-garbage', 'the back end asks for more than it was to be given')
  })
}

/** RFC 5804 2.1: the first message goes along with the command; challenges are answered until there is a response. */
async function authenticate(
  backend: Wire,
  mechanism: MechanismName,
  first: string,
  respond: (challenge: string) => string | Promise<string>,
): Promise<Ending> {
  backend.write(`AUTHENTICATE "${mechanism}" ${formatClientString(first)}\r\n`, showCommand)
  for (;;) {
    const response = await readResponse(backend, MAX_SASL_LINE_BYTES)
    if (response.type !== 'data') return response
    const [challenge, ...more] = response.tokens
    if (challenge === undefined || more.length > 0)
      throw new MuxError('backend-garbage', 'a challenge of more than one string')
    backend.write(`${formatClientString(await respond(challenge.text))}\r\n`)
  }
}
