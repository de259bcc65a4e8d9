/**
 * Plays scripts in the notation of the RFCs against a dialogue in memory. A line begins with who says it:
 * `C:` the client, `S:` the server; `C>` or `S>` is text without a CRLF; `S: /x/` is a pattern to match;
 * `= TLS` a handshake; `= end` the end of what the scripted side sends. Lines of the scripted side that follow each other go together.
 */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { asMuxError, MuxError, type ErrorCode } from '../../src/errors.ts'
import { asOctets } from '../../src/octets.ts'
import { imap } from '../../src/protocol/imap/imap.ts'
import { ImapWatch } from '../../src/protocol/imap/watch.ts'
import { managesieve } from '../../src/protocol/managesieve/managesieve.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import type {
  Acceptance,
  BackendLogin,
  ClientWire,
  ClientIdentity,
  DialogueFacts,
  LoginAnswer,
  LoginAttempt,
  Protocol,
  Refusal,
  Wire,
} from '../../src/protocol/protocol.ts'
import { runMechanism } from '../../src/protocol/sasl.ts'
import type { MechanismName } from '../../src/config/settings.ts'
import { Secret } from '../../src/secret.ts'
import { READ_DEADLINE_MS, within } from '../support/deadline.ts'
import { MemoryWire } from '../support/memory-wire.ts'
import { testEveryCut, type Cut } from '../support/splits.ts'

export const protocols = { imap, pop3, managesieve }

export type Attempt = { user: string; authcid: string; mechanism: LoginAttempt['mechanism']; password: string }

/** A login whose proof is the client's own: its first message, and what it answers to the challenges of the case. */
export type RelayedAttempt = {
  user: string
  mechanism: LoginAttempt['mechanism']
  firstMessage: string
  responses: string[]
}

/** A login that needs no proof beyond the certificate. */
export type CertifiedAttempt = { user: string; mechanism: LoginAttempt['mechanism']; certified: true }

/** What a client has told of itself when it logs in. */
export type Told = { id: Record<string, string>; ttl: number | undefined }

/** A conversation with a scripted client, and what must come of it. */
export type ClientCase = {
  script: string
  /** begin with the greeting; else the script begins after it */
  greet?: boolean
  secure?: boolean
  /** the user that the client's certificate speaks for */
  certifiedUser?: string
  facts?: Partial<DialogueFacts>
  /** what a back end asks of a login whose proof is the client's own */
  challenges?: readonly string[]
  /** what the back end makes of each attempt; refused as a wrong password where there is none */
  answers?: readonly (Acceptance | Refusal)[]
  /** the logins that must be handed out */
  attempts?: readonly (Attempt | RelayedAttempt | CertifiedAttempt)[]
  /** what each of them must tell of the client; not looked at where it is left out */
  told?: readonly Told[]
  /** what the back end must hear before each of them; not looked at where it is left out */
  preambles?: readonly (readonly string[])[]
  /** how it must end; by default the client goes when its script is over */
  ending?: 'logout' | 'accepted' | ErrorCode | readonly ErrorCode[]
  /** what the client sent and nobody may have read */
  unread?: string
}

export const WRONG_PASSWORD: Refusal = { reason: 'authentication-failed' }

/** What a back end said that let the user in. */
export function accepted(changes: Partial<Acceptance> = {}): Acceptance {
  return { untagged: [], capability: undefined, code: undefined, text: 'Logged in', watch: new ImapWatch(), ...changes }
}

/** A login by alice, whose password is `secret`. */
export function alice(mechanism: LoginAttempt['mechanism'], changes: Partial<Attempt> = {}): Attempt {
  return { user: 'alice', authcid: 'alice', mechanism, password: 'secret', ...changes }
}

export function base64(octets: string): string {
  return Buffer.from(octets, 'latin1').toString('base64')
}

/** What the protocols say to the same effect, as `%NAME` in scripts that are for all. */
const WORDS = {
  imap: {
    AUTH: 'a AUTHENTICATE',
    WRONG: 'a NO [AUTHENTICATIONFAILED] Authentication failed.',
    MALFORMED: 'a BAD Invalid SASL response',
    CANCELLED: 'a BAD Authentication cancelled.',
    UNSUPPORTED: 'a NO [CANNOT] Unsupported authentication mechanism.',
    FORBIDDEN: 'a NO [AUTHORIZATIONFAILED] Not allowed to log in as that user.',
    PRIVATE: 'a NO [PRIVACYREQUIRED] Passwords are accepted over TLS only.',
    NOOP: 'a NOOP',
    DONE: 'a OK NOOP completed.',
  },
  pop3: {
    AUTH: 'AUTH',
    WRONG: '-ERR [AUTH] Authentication failed.',
    MALFORMED: '-ERR Invalid SASL response',
    CANCELLED: '-ERR Authentication cancelled.',
    UNSUPPORTED: '-ERR Unsupported authentication mechanism',
    FORBIDDEN: '-ERR [AUTH] Not allowed to log in as that user.',
    PRIVATE: '-ERR [AUTH] Passwords are accepted over TLS only.',
    NOOP: 'NOOP',
    DONE: '+OK',
  },
  managesieve: {
    AUTH: 'AUTHENTICATE',
    WRONG: 'NO "Authentication failed."',
    MALFORMED: 'NO "Invalid SASL response"',
    CANCELLED: 'NO "Authentication cancelled."',
    UNSUPPORTED: 'NO "Unsupported authentication mechanism."',
    FORBIDDEN: 'NO "Not allowed to log in as that user."',
    PRIVATE: 'NO (ENCRYPT-NEEDED) "Passwords are accepted over TLS only."',
    NOOP: 'NOOP',
    DONE: 'OK "NOOP completed."',
  },
} as const

/** A script for all protocols, in the words of one. Challenges stand there as in IMAP; in ManageSieve they are strings. */
export function inWordsOf(name: keyof typeof WORDS, script: string): string {
  const told =
    name === 'managesieve'
      ? script.replace(/^(\s*S: )\+ (.*)$/gm, '$1"$2"').replaceAll('S: /^\\+ /', 'S: /^"/')
      : script
  return told.replace(/%([A-Z]+)/g, (_, word: string) => {
    const said = (WORDS[name] as Record<string, string>)[word]
    if (said === undefined) throw new Error(`not a word of ${name}: ${word}`)
    return said
  })
}

/** The same promise of every protocol. */
export function testEveryClient(name: string, wanted: ClientCase): void {
  for (const protocol of [imap, pop3, managesieve])
    testClient(`${protocol.name} ${name}`, protocol, { ...wanted, script: inWordsOf(protocol.name, wanted.script) })
}

/** Tests that the conversation goes as written however its bytes are cut. */
export function testClient(name: string, protocol: Protocol, wanted: ClientCase): void {
  testEveryCut(name, (cut) => playClient(cut, protocol, wanted))
}

export async function playClient(cut: Cut, protocol: Protocol, wanted: ClientCase): Promise<void> {
  const { script, attempts = [], ending = 'client-closed', unread } = wanted
  const { wire, ended, tried, told, preambles } = openCase(cut, protocol.name, wanted)
  await followScript(wire, 'C', script)
  if (wanted.ending === undefined) await wire.end()
  const how = await within(READ_DEADLINE_MS, ended, () => wire.complaint('it did not end').message)
  expectEqual(wire, 'written beyond the script', wire.unexpected, '')
  if (typeof ending === 'string' || !ending.includes(how as ErrorCode)) expectEqual(wire, 'the ending', how, ending)
  expectEqual(wire, 'the logins to try', tried, attempts)
  if (wanted.told !== undefined) expectEqual(wire, 'what the logins tell of the client', told, wanted.told)
  if (wanted.preambles !== undefined) expectEqual(wire, 'the preambles', preambles, wanted.preambles)
  if (unread !== undefined) expectEqual(wire, 'what nobody has read', wire.detach(), unread)
}

/** Begins such a conversation, and leaves it to the caller to play the client. */
export function openCase(
  cut: Cut,
  name: keyof typeof protocols,
  { greet = false, secure = true, certifiedUser, facts, challenges = [], answers = [] }: Omit<ClientCase, 'script'>,
  readAlong: (wire: ClientWire) => ClientWire = (wire) => wire,
): {
  wire: MemoryWire
  ended: Promise<string>
  tried: (Attempt | RelayedAttempt | CertifiedAttempt)[]
  told: Told[]
  preambles: (readonly string[])[]
} {
  const wire = new MemoryWire('client', { cut, secure })
  wire.certifiedUser = certifiedUser === undefined ? undefined : asOctets(certifiedUser)
  const dialogue = protocols[name].openDialogue(readAlong(wire), {
    banner: 'the banner',
    product: 'mailmux',
    startTlsOffered: false,
    allowPlaintextAuth: false,
    mechanisms: ['PLAIN'],
    announced: [],
    maxLineBytes: 8192,
    maxBadCommands: 3,
    maxWrongPasswords: 5,
    ...facts,
  })
  const tried: (Attempt | RelayedAttempt | CertifiedAttempt)[] = []
  const told: Told[] = []
  const preambles: (readonly string[])[] = []
  const serve = async (): Promise<string> => {
    if (greet) dialogue.greet()
    for (;;) {
      const login = await dialogue.awaitLogin()
      if (login === 'logout') return 'logout'
      const answer = answers[tried.length] ?? WRONG_PASSWORD
      preambles.push(login.preamble)
      told.push({ id: Object.fromEntries(login.id), ttl: login.ttl })
      tried.push(await toAttempt(login, challenges))
      if (!('reason' in answer)) {
        dialogue.accept(answer)
        return 'accepted'
      }
      dialogue.refuse(answer)
    }
  }
  return { wire, ended: finishing(wire, serve()), tried, told, preambles }
}

/** A conversation with a scripted back end, and what must come of it. */
export type BackendCase = {
  script: string
  login?: {
    user?: string
    authcid?: string
    password?: string
    startTls?: boolean
    preamble?: readonly string[]
    proxyHeader?: boolean
    ttl?: number
    /** in place of a password: what the client began with (octets), and how it answers challenges */
    relayed?: { mechanism: MechanismName; first: string; responses?: readonly string[] }
    /** what differs from IDENTITY; without it the back end is not to be told */
    identity?: Partial<ClientIdentity>
  }
  /** what must have been handed to the client */
  challenges?: readonly string[]
  /** whether what the client says after login must be looked at; not looked at where it is left out */
  guarded?: boolean
  /** the answer; a plain code is a MuxError, one of several where the cut decides */
  answer: Partial<Acceptance> | Refusal | ErrorCode | readonly ErrorCode[]
  unread?: string
}

/** Whom back ends are told of. */
export const IDENTITY: ClientIdentity = {
  sessionId: '1a2b-3',
  client: { address: '192.0.2.7', port: 4711 },
  local: { address: '198.51.100.1', port: 993 },
  serverName: undefined,
  tls: true,
  ttl: 6,
  id: new Map(),
}

/** Tests that the back end is logged in at as written however its bytes are cut. */
export function testBackend(name: string, protocol: Protocol, wanted: BackendCase): void {
  testEveryCut(name, (cut) => playBackend(cut, protocol, wanted))
}

export async function playBackend(cut: Cut, protocol: Protocol, wanted: BackendCase): Promise<void> {
  const { wire, ended, challenges } = replayCase(cut, protocol.name, wanted)
  await followScript(wire, 'S', wanted.script)
  const answer = await within(READ_DEADLINE_MS, ended, () => wire.complaint('there was no answer').message)
  expectEqual(wire, 'written beyond the script', wire.unexpected, '')
  const several = Array.isArray(wanted.answer) && wanted.answer.includes(answer)
  if (!several) expectEqual(wire, 'the answer', onlyKeysOf(wanted.answer, answer), wanted.answer)
  if (wanted.challenges !== undefined) expectEqual(wire, 'challenges', challenges, wanted.challenges)
  if (wanted.guarded !== undefined)
    expectEqual(
      wire,
      'guarded',
      typeof answer === 'object' && 'watch' in answer && answer.watch.mode === 'guard',
      wanted.guarded,
    )
  if (wanted.unread !== undefined) expectEqual(wire, 'what nobody has read', wire.detach(), wanted.unread)
}

/** Begins such a conversation, and leaves it to the caller to play the back end. */
export function replayCase(
  cut: Cut,
  name: keyof typeof protocols,
  { login: as = {} }: Pick<BackendCase, 'login'>,
  readAlong: (wire: Wire) => Wire = (wire) => wire,
): { wire: MemoryWire; ended: Promise<Acceptance | Refusal | string>; challenges: string[] } {
  const { user = 'alice', password = 'secret', startTls = false, preamble = [], ttl = 6 } = as
  const identity = as.identity && { ...IDENTITY, ...as.identity }
  const wire = new MemoryWire('backend', { cut })
  const challenges: string[] = []
  const replay = async (): Promise<Acceptance | Refusal> => {
    const credentials: BackendLogin['credentials'] = as.relayed
      ? await startRelayed(as.relayed, challenges)
      : { kind: 'password', authcid: asOctets(as.authcid ?? user), password: new Secret(asOctets(password)) }
    return shortAnswer(
      await protocols[name].replayLogin(readAlong(wire), {
        user: asOctets(user),
        credentials,
        startTls,
        preamble,
        proxyHeader: as.proxyHeader ?? false,
        aboutToTell: () => undefined,
        ttl,
        identity,
      }),
    )
  }
  return { wire, ended: finishing(wire, replay()), challenges }
}

/** The client's part as mailmux takes it over: with its own code, so that a rewritten message is one that it rewrites. */
async function startRelayed(
  { mechanism, first, responses = [] }: NonNullable<NonNullable<BackendCase['login']>['relayed']>,
  challenges: string[],
): Promise<BackendLogin['credentials']> {
  const ask = (challenge: string): Promise<string> => {
    const response = responses[challenges.push(challenge) - 1]
    return response === undefined ? Promise.reject(new MuxError('client-closed', 'gone')) : Promise.resolve(response)
  }
  const outcome = await runMechanism(mechanism, { initial: base64(first), ask, certifiedUser: undefined })
  if (typeof outcome === 'string' || outcome.credentials.kind === 'certificate') throw new Error(`no ${mechanism}`)
  return outcome.credentials
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

/** With what is secret to be seen, which a Secret would hide from the comparison. */
async function toAttempt(
  { user, mechanism, credentials }: LoginAttempt,
  challenges: readonly string[],
): Promise<Attempt | RelayedAttempt | CertifiedAttempt> {
  switch (credentials.kind) {
    case 'password':
      return { user, mechanism, authcid: credentials.authcid, password: credentials.password.reveal() }
    case 'certificate':
      return { user, mechanism, certified: true }
    case 'relayed': {
      const firstMessage = credentials.firstMessage(user)?.reveal() ?? '(cannot be said)'
      const responses: string[] = []
      for (const challenge of challenges) responses.push(await credentials.converse(challenge))
      return { user, mechanism, firstMessage, responses }
    }
  }
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
