/**
 * A client and a back end that prove themselves to each other, with mailmux between them: `login.ts` and `replay.ts` joined as the
 * session joins them. `C:` and `S:` are the client's leg as everywhere, `B:` is what the back end says and `M:` what it hears.
 */
import assert from 'node:assert/strict'
import { MECHANISMS } from '../../src/config/settings.ts'
import { asMuxError } from '../../src/errors.ts'
import type { LoginAttempt } from '../../src/protocol/protocol.ts'
import { READ_DEADLINE_MS, within } from '../support/deadline.ts'
import { MemoryWire } from '../support/memory-wire.ts'
import { testEveryCut, type Cut } from '../support/splits.ts'
import { base64, IDENTITY, inWordsOf, protocols } from './play.ts'

type Name = 'imap' | 'pop3'

async function playThrough(cut: Cut, name: Name, script: string): Promise<void> {
  const client = new MemoryWire('client', { cut, secure: true })
  const backend = new MemoryWire('backend', { cut })
  const dialogue = protocols[name].openDialogue(client, {
    banner: '',
    product: 'mailmux',
    startTlsOffered: false,
    allowPlaintextAuth: false,
    mechanisms: MECHANISMS,
    announced: [],
    maxLineBytes: 8192,
    maxBadCommands: 3,
    maxWrongPasswords: 5,
  })
  const replay = async ({ credentials, user, preamble, id }: LoginAttempt): Promise<void> => {
    assert.notEqual(credentials.kind, 'certificate')
    if (credentials.kind === 'certificate') return
    const identity = { ...IDENTITY, id }
    const login = {
      user,
      credentials,
      startTls: false,
      preamble,
      proxyHeader: false,
      ttl: 6,
      identity,
      aboutToTell: () => undefined,
    }
    const answer = await protocols[name].replayLogin(backend, login)
    backend.finish('answered')
    if (answer.accepted) dialogue.accept(answer)
    else dialogue.refuse(answer.refusal)
  }
  const ended = dialogue
    .awaitLogin()
    .then((login) => (login === 'logout' ? undefined : replay(login)))
    .catch((error: unknown) => {
      client.finish(asMuxError(error).message)
      backend.finish(asMuxError(error).message)
      throw error
    })
  ended.catch(() => undefined)
  for (const line of script.split('\n')) {
    const [, who, text = ''] = /^\s*([CSBM]): ?(.*)$/.exec(line) ?? []
    if (who === 'C') await client.send(`${text}\r\n`)
    else if (who === 'B') await backend.send(`${text}\r\n`)
    else if (who === 'S') await client.expect(text)
    else if (who === 'M') await backend.expect(text)
    else if (line.trim() !== '') throw new Error(`not a line of a script: ${line}`)
  }
  await within(READ_DEADLINE_MS, ended, () => client.complaint('it did not end').message)
  assert.equal(client.unexpected + backend.unexpected, '')
}

/** How each protocol begins and ends with a back end. */
function wholeScript(name: Name, mechanism: string, first: string, script: string): string {
  const meet = {
    imap: `B: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=${mechanism}] ready
      M: A AUTHENTICATE ${mechanism} ${base64(first)}`,
    pop3: `B: +OK ready
      M: CAPA
      B: +OK
      B: SASL ${mechanism}
      B: .
      M: AUTH ${mechanism} ${base64(first)}`,
  }[name]
  const words = {
    imap: {
      YES: `B: A OK [CAPABILITY IMAP4rev1 IDLE] in
        S: a OK [CAPABILITY IMAP4rev1 IDLE] in`,
      NO: `B: A NO [AUTHENTICATIONFAILED] alice is not here
        S: a NO [AUTHENTICATIONFAILED] Authentication failed.`,
      STOP: `B: A BAD stopped
        S: a BAD Authentication cancelled.`,
    },
    pop3: {
      YES: `B: +OK in
        S: +OK in`,
      NO: `B: -ERR [AUTH] alice is not here
        S: -ERR [AUTH] Authentication failed.`,
      STOP: `B: -ERR stopped
        S: -ERR Authentication cancelled.`,
    },
  }[name]
  const ended = script.replace(/%(YES|NO|STOP)/, (_, word: 'YES' | 'NO' | 'STOP') => words[word])
  return inWordsOf(name, `C: %AUTH ${mechanism} ${base64(first)}\n${meet}\n${ended}`)
}

const FAILURE = base64('{"status":"invalid_token","scope":"mail"}')

/** RFC 7677 3, its own example. */
const SCRAM = {
  first: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  final: 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
}

const CONVERSATIONS: Record<string, { mechanism: string; first: string; script: string }> = {
  'SCRAM as RFC 7677 plays it': {
    mechanism: 'SCRAM-SHA-256',
    first: SCRAM.first,
    script: `
      B: + ${base64(SCRAM.serverFirst)}
      S: + ${base64(SCRAM.serverFirst)}
      C: ${base64(SCRAM.final)}
      M: ${base64(SCRAM.final)}
      B: + ${base64(SCRAM.serverFinal)}
      S: + ${base64(SCRAM.serverFinal)}
      C:\x20
      M:\x20
      %YES`,
  },
  'SCRAM with a wrong proof': {
    mechanism: 'SCRAM-SHA-256',
    first: SCRAM.first,
    script: `
      B: + ${base64(SCRAM.serverFirst)}
      S: + ${base64(SCRAM.serverFirst)}
      C: ${base64('c=biws,r=x,p=AAAA')}
      M: ${base64('c=biws,r=x,p=AAAA')}
      %NO`,
  },
  'a token and its refusal, which the client acknowledges': {
    mechanism: 'OAUTHBEARER',
    first: 'n,a=alice,\x01auth=Bearer t\x01\x01',
    script: `
      B: + ${FAILURE}
      S: + ${FAILURE}
      C: AQ==
      M: AQ==
      %NO`,
  },
  'a token and its refusal, which the client takes with a star': {
    mechanism: 'XOAUTH2',
    first: 'user=alice\x01auth=Bearer t\x01\x01',
    script: `
      B: + ${FAILURE}
      S: + ${FAILURE}
      C: *
      M: *
      %STOP`,
  },
  'a token that is taken': {
    mechanism: 'XOAUTH2',
    first: 'user=alice\x01auth=Bearer t\x01\x01',
    script: '%YES',
  },
}

for (const name of ['imap', 'pop3'] as const)
  for (const [what, { mechanism, first, script }] of Object.entries(CONVERSATIONS))
    testEveryCut(`${name} carries both ways ${what}`, (cut) =>
      playThrough(cut, name, wholeScript(name, mechanism, first, script)),
    )

testEveryCut(
  'imap tells a back end with the login what the client has told of itself, and not what it made up of a proxy',
  (cut) =>
    playThrough(
      cut,
      'imap',
      `
    C: i ID ("name" "a \\"client\\"" "X-Originating-IP" "203.0.113.66" "x-proxy-ttl" "4" "version" NIL)
    S: * ID ("name" "mailmux")
    S: i OK ID completed.
    C: a LOGIN alice secret
    B: * OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] ready
    M: I ID ("x-session-id" "1a2b-3" "x-originating-ip" "192.0.2.7" "x-originating-port" "4711" "x-connected-ip" "198.51.100.1" "x-connected-port" "993" "x-proxy-ttl" "6" "x-client-transport" "TLS" "name" "a \\"client\\"")
    M: A AUTHENTICATE PLAIN ${base64('\0alice\0secret')}
    B: * ID NIL
    B: I OK
    B: A OK [CAPABILITY IMAP4rev1] in
    S: a OK [CAPABILITY IMAP4rev1] in`,
    ),
)
