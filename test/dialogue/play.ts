/**
 * Plays scripts in the notation of the RFCs against a dialogue in memory. A line begins with who says it:
 * `C:` the client, `S:` the server; `C>` or `S>` is text without a CRLF; `S: /x/` is a pattern to match;
 * `= TLS` a handshake; `= end` the end of what the scripted side sends. Lines of the scripted side that follow each other go together.
 */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { asMuxError, type ErrorCode } from '../../src/errors.ts'
import { imap } from '../../src/protocol/imap/imap.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import type {
  Acceptance,
  BackendLogin,
  DialogueFacts,
  LoginAnswer,
  LoginAttempt,
  Protocol,
  Refusal,
} from '../../src/protocol/protocol.ts'
import { Secret } from '../../src/secret.ts'
import { READ_DEADLINE_MS, within } from '../support/deadline.ts'
import { MemoryWire } from '../support/memory-wire.ts'
import { testEveryCut, type Cut } from '../support/splits.ts'

export const protocols = { imap, pop3 }

export type Attempt = { user: string; authcid: string; mechanism: LoginAttempt['mechanism']; password: string }

/** A conversation with a scripted client, and what must come of it. */
export type ClientCase = {
  script: string
  /** begin with the greeting; else the script begins after it */
  greet?: boolean
  secure?: boolean
  facts?: Partial<DialogueFacts>
  /** what the back end makes of each attempt; refused as a wrong password where there is none */
  answers?: readonly (Acceptance | Refusal)[]
  /** the logins that must be handed out */
  attempts?: readonly Attempt[]
  /** how it must end; by default the client goes when its script is over */
  ending?: 'logout' | 'accepted' | ErrorCode | readonly ErrorCode[]
  /** what the client sent and nobody may have read */
  unread?: string
}

export const WRONG_PASSWORD: Refusal = { reason: 'authentication-failed' }

/** What a back end said that let the user in. */
export function accepted(changes: Partial<Acceptance> = {}): Acceptance {
  return { untagged: [], capability: undefined, code: undefined, text: 'Logged in', guard: undefined, ...changes }
}

/** A login by alice, whose password is `secret`. */
export function alice(mechanism: LoginAttempt['mechanism'], changes: Partial<Attempt> = {}): Attempt {
  return { user: 'alice', authcid: 'alice', mechanism, password: 'secret', ...changes }
}

export function base64(octets: string): string {
  return Buffer.from(octets, 'latin1').toString('base64')
}

/** Tests that the conversation goes as written however its bytes are cut. */
export function testClient(name: string, protocol: Protocol, wanted: ClientCase): void {
  testEveryCut(name, (cut) => playClient(cut, protocol, wanted))
}

export async function playClient(cut: Cut, protocol: Protocol, wanted: ClientCase): Promise<void> {
  const { script, attempts = [], ending = 'client-closed', unread } = wanted
  const { wire, ended, tried } = openCase(cut, protocol.name, wanted)
  await followScript(wire, 'C', script)
  if (wanted.ending === undefined) await wire.end()
  const how = await within(READ_DEADLINE_MS, ended, () => wire.complaint('it did not end').message)
  expectEqual(wire, 'written beyond the script', wire.unexpected, '')
  if (typeof ending === 'string' || !ending.includes(how as ErrorCode)) expectEqual(wire, 'the ending', how, ending)
  expectEqual(wire, 'the logins to try', tried, attempts)
  if (unread !== undefined) expectEqual(wire, 'what nobody has read', wire.detach(), unread)
}

/** Begins such a conversation, and leaves it to the caller to play the client. */
export function openCase(
  cut: Cut,
  name: keyof typeof protocols,
  { greet = false, secure = true, facts, answers = [] }: Omit<ClientCase, 'script'>,
): { wire: MemoryWire; ended: Promise<string>; tried: Attempt[] } {
  const wire = new MemoryWire('client', { cut, secure })
  const dialogue = protocols[name].openDialogue(wire, {
    banner: 'the banner',
    product: 'mailmux',
    startTlsOffered: false,
    allowPlaintextAuth: false,
    mechanisms: ['PLAIN'],
    announced: [],
    maxLineBytes: 8192,
    maxBadCommands: 3,
    ...facts,
  })
  const tried: Attempt[] = []
  const serve = async (): Promise<string> => {
    if (greet) dialogue.greet()
    for (;;) {
      const login = await dialogue.awaitLogin()
      if (login === 'logout') return 'logout'
      const answer = answers[tried.length] ?? WRONG_PASSWORD
      tried.push(toAttempt(login))
      if (!('reason' in answer)) {
        dialogue.accept(answer)
        return 'accepted'
      }
      dialogue.refuse(answer)
    }
  }
  return { wire, ended: finishing(wire, serve()), tried }
}

/** A conversation with a scripted back end, and what must come of it. */
export type BackendCase = {
  script: string
  login?: { user?: string; authcid?: string; password?: string; startTls?: boolean; utf8?: boolean }
  /** the answer; a plain code is a MuxError, one of several where the cut decides */
  answer: Partial<Acceptance> | Refusal | ErrorCode | readonly ErrorCode[]
  unread?: string
}

/** Tests that the back end is logged in at as written however its bytes are cut. */
export function testBackend(name: string, protocol: Protocol, wanted: BackendCase): void {
  testEveryCut(name, (cut) => playBackend(cut, protocol, wanted))
}

export async function playBackend(cut: Cut, protocol: Protocol, wanted: BackendCase): Promise<void> {
  const { wire, ended } = replayCase(cut, protocol.name, wanted)
  await followScript(wire, 'S', wanted.script)
  const answer = await within(READ_DEADLINE_MS, ended, () => wire.complaint('there was no answer').message)
  expectEqual(wire, 'written beyond the script', wire.unexpected, '')
  const several = Array.isArray(wanted.answer) && wanted.answer.includes(answer)
  if (!several) expectEqual(wire, 'the answer', onlyKeysOf(wanted.answer, answer), wanted.answer)
  if (wanted.unread !== undefined) expectEqual(wire, 'what nobody has read', wire.detach(), wanted.unread)
}

/** Begins such a conversation, and leaves it to the caller to play the back end. */
export function replayCase(
  cut: Cut,
  name: keyof typeof protocols,
  { login: as = {} }: Pick<BackendCase, 'login'>,
): { wire: MemoryWire; ended: Promise<Acceptance | Refusal | string> } {
  const { user = 'alice', password = 'secret', startTls = false, utf8 = false } = as
  const credentials = { kind: 'password', authcid: as.authcid ?? user, password: new Secret(password) } as const
  const login: BackendLogin = { user, credentials, startTls, utf8, identity: undefined }
  const wire = new MemoryWire('backend', { cut })
  return { wire, ended: finishing(wire, protocols[name].replayLogin(wire, login).then(shortAnswer)) }
}

/** Of an acceptance only what the test speaks of. */
function onlyKeysOf(wanted: BackendCase['answer'], answer: Acceptance | Refusal | string): unknown {
  if (typeof wanted === 'string' || typeof answer === 'string' || 'reason' in wanted || 'reason' in answer)
    return answer
  return Object.fromEntries(Object.entries(answer).filter(([key]) => key in wanted))
}

/** Waits for the end, notes it in the conversation, and gives errors as their codes: whatever input does, none may be `internal`. */
async function finishing<T>(wire: MemoryWire, promise: Promise<T>): Promise<T | ErrorCode> {
  try {
    const result = await promise
    wire.finish(JSON.stringify(result))
    return result
  } catch (error) {
    const { code, message } = asMuxError(error)
    wire.finish(`${code}: ${message}`)
    return code
  }
}

/** With the password to be seen, which a Secret would hide from the comparison. */
function toAttempt({ user, mechanism, credentials }: LoginAttempt): Attempt {
  if (credentials.kind !== 'password') throw new Error(`no password but ${credentials.kind}`)
  return { user, mechanism, authcid: credentials.authcid, password: credentials.password.reveal() }
}

function shortAnswer(answer: LoginAnswer): Acceptance | Refusal {
  return answer.accepted ? answer : answer.refusal
}

async function followScript(wire: MemoryWire, scripted: 'C' | 'S', script: string): Promise<void> {
  let together = ''
  const flush = async (): Promise<void> => {
    if (together !== '') await wire.send(together)
    together = ''
  }
  for (const line of script.split('\n')) {
    const [, who, mark, text = ''] = /^\s*([CS=])([:> ]) ?(.*)$/s.exec(line) ?? []
    if (who === scripted) together += mark === '>' ? text : `${text}\r\n`
    else if (who !== undefined) {
      await flush()
      if (who !== '=') await wire.expect(/^\/.*\/$/.test(text) ? new RegExp(text.slice(1, -1)) : text)
      else if (text === 'TLS') await wire.handshake()
      else if (text === 'end') await wire.end()
      else throw new Error(`not a step of a script: ${line}`)
    } else if (line.trim() !== '') throw new Error(`not a line of a script: ${line}`)
  }
  await flush()
}

function expectEqual(wire: MemoryWire, what: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return
  try {
    assert.deepEqual(actual, expected)
  } catch (error) {
    throw wire.complaint(`${what}: ${(error as Error).message}`)
  }
}
