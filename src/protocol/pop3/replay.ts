/**
 * POP3 towards the back end: greeting, capabilities, TLS, and the user's login played again. Trusts nothing that it reads:
 * every line is bounded, and nothing from before TLS counts after it.
 */
import { MuxError } from '../../errors.ts'
import type { MechanismName } from '../../config/settings.ts'
import type { BackendLogin, LoginAnswer, Wire } from '../protocol.ts'
import { relaySasl } from '../relay-sasl.ts'
import { encodePlain, MAX_SASL_LINE_BYTES } from '../sasl.ts'
import { boundWire } from '../bounded-wire.ts'
import { parseBackendCapability, splitCapability, type BackendCapability } from './capability.ts'
import { formatXclient } from '../xclient.ts'
import { parseResponse, type Response } from './parse.ts'
import { refusalOf } from './refusal.ts'
import { showAnswers, showCommand } from './shown.ts'
import { Pop3Watch } from './watch.ts'

/** RFC 2449 4: a response line is at most 512 octets; servers with talkative banners get four times that. */
const MAX_LINE_BYTES = 2048
const MAX_CAPABILITY_LINES = 64
/** RFC 5034 4: a command with an initial response is at most 255 octets with its CRLF. */
const MAX_AUTH_LINE_BYTES = 255

/** @throws MuxError backend-* where the conversation cannot lead to a login */
export async function replayLogin(wire: Wire, login: BackendLogin): Promise<LoginAnswer> {
  const backend = boundWire(wire)
  const { capability, takesXclient } = await negotiate(backend, login.startTls)
  // Every -ERR could then be the answer to a line of the header, and would be taken for a refused password.
  if (login.proxyHeader && !capability.told) throw new MuxError('backend-garbage', 'the back end refuses CAPA')
  login.aboutToTell()
  if (takesXclient && login.identity) await expectOk(backend, formatXclient(login.identity))
  // Each was promised to the client: after UTF8 it reads what follows as UTF-8.
  for (const command of login.preamble) await expectOk(backend, command)
  // A back end may refuse XCLIENT. To detect a loop to mailmux itself, the TTL is sent by a command of its own.
  if (capability.proxyTtl) await expectOk(backend, `X-PROXY-TTL ${login.ttl}`)
  const answer = await logIn(backend, login, capability)
  if (answer === 'cancelled') return { accepted: false, refusal: { reason: 'cancelled' }, detail: 'the client gave up' }
  if (!answer.ok) return { accepted: false, ...refusalOf(answer) }
  return {
    accepted: true,
    untagged: [],
    capability: undefined,
    code: undefined, // it stays where it is, in the text
    text: answer.words || 'Logged in.',
    watch: new Pop3Watch(),
  }
}

/** What a back end can do before login, asked on a connection that is for nothing else. @throws MuxError as replayLogin */
export async function askCapabilities(wire: Wire, startTls: boolean): Promise<string[]> {
  const backend = boundWire(wire)
  const { capability } = await negotiate(backend, startTls)
  backend.write('QUIT\r\n', showCommand)
  return capability.lines.flatMap(splitCapability)
}

/** From the greeting to the capabilities that count: those from before TLS are forgotten (RFC 2595 4). */
async function negotiate(
  backend: Wire,
  tls: boolean,
): Promise<{ capability: BackendCapability; takesXclient: boolean }> {
  const greeting = await readResponse(backend)
  if (!greeting.ok) throw new MuxError('backend-bye', `the back end greeted with -ERR ${greeting.text}`)
  let capability = await askCapability(backend)
  if (tls) {
    if (!capability.canStartTls) throw new MuxError('backend-no-starttls', 'the back end does not offer STLS')
    backend.write('STLS\r\n', showCommand)
    const answer = await readResponse(backend)
    if (!answer.ok) throw new MuxError('backend-no-starttls', `the back end refused STLS: ${answer.text}`)
    await backend.startTls()
    capability = await askCapability(backend)
  }
  // A back end that accepts XCLIENT from mailmux announces it in its greeting, as Dovecot does.
  return { capability, takesXclient: greeting.code === 'XCLIENT' }
}

/** @throws MuxError `backend-no-mechanism` where the back end refuses what it has announced */
async function expectOk(backend: Wire, command: string): Promise<void> {
  backend.write(`${command}\r\n`, showCommand)
  const answer = await readResponse(backend)
  if (!answer.ok)
    throw new MuxError('backend-no-mechanism', `the back end refused ${command.split(' ')[0] ?? ''}: ${answer.text}`)
}

async function readResponse(backend: Wire): Promise<Response> {
  const line = await backend.readLine(MAX_LINE_BYTES, showAnswers)
  const response = parseResponse(line)
  if (response) return response
  throw new MuxError('backend-garbage', `not a POP3 response: ${JSON.stringify(line.slice(0, 80))}`)
}

async function askCapability(backend: Wire): Promise<BackendCapability> {
  backend.write('CAPA\r\n', showCommand)
  const lines: string[] = []
  const told = (await readResponse(backend)).ok
  if (told) {
    for (
      let line = await backend.readLine(MAX_LINE_BYTES, showAnswers);
      line !== '.';
      line = await backend.readLine(MAX_LINE_BYTES, showAnswers)
    ) {
      if (lines.push(line) > MAX_CAPABILITY_LINES)
        throw new MuxError('backend-garbage', 'the capability list does not end')
    }
  }
  return parseBackendCapability(lines, told)
}

async function logIn(
  backend: Wire,
  login: BackendLogin,
  capability: BackendCapability,
): Promise<Response | 'cancelled'> {
  const { user, credentials } = login
  if (credentials.kind === 'relayed') {
    return relaySasl(user, credentials, {
      offered: capability.mechanisms,
      describe: (mechanism) => `SASL ${mechanism}`,
      authenticate: (mechanism, first, respond) => authenticate(backend, mechanism, first, respond),
      isRefusal: ({ ok }) => !ok,
    })
  }
  if (capability.mechanisms.includes('PLAIN')) {
    return authenticate(backend, 'PLAIN', encodePlain(user, credentials), () => {
      throw new MuxError('backend-garbage', 'the back end asks for more than it was to be given')
    })
  }
  if (user !== credentials.authcid) {
    throw new MuxError('backend-no-mechanism', 'the back end lacks SASL PLAIN, and USER cannot carry an authzid')
  }
  backend.write(`USER ${user}\r\n`, showCommand)
  const answer = await readResponse(backend)
  if (!answer.ok) return answer
  backend.write(`PASS ${credentials.password.reveal()}\r\n`, showCommand)
  return readResponse(backend)
}

/** RFC 5034 4: the first message goes along with the command where both fit into a line; challenges are answered until there is a response. */
async function authenticate(
  backend: Wire,
  mechanism: MechanismName,
  first: string,
  respond: (challenge: string) => string | Promise<string>,
): Promise<Response> {
  const inOne = `AUTH ${mechanism} ${first}`
  let sent = inOne.length + 2 <= MAX_AUTH_LINE_BYTES
  backend.write(`${sent ? inOne : `AUTH ${mechanism}`}\r\n`, showCommand)
  for (;;) {
    const line = await backend.readLine(MAX_SASL_LINE_BYTES, showAnswers)
    // "+ " and a challenge, which may be empty; some servers then leave the space out. "+OK" is no challenge.
    if (!/^\+( |$)/.test(line)) {
      const response = parseResponse(line)
      // An OK before the credentials were sent does not come from a correct mail server.
      if (response && (sent || !response.ok)) return response
      throw new MuxError('backend-garbage', `not an answer to AUTH: ${JSON.stringify(line.slice(0, 80))}`)
    }
    backend.write(`${sent ? await respond(line.slice(2)) : first}\r\n`)
    sent = true
  }
}
