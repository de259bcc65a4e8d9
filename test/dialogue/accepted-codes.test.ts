/** What a back end says to the user while it accepts a login reaches the client, whichever way its capabilities come. */
import { protocols, testBackend, testClient, accepted, alice, base64, type BackendCase } from './play.ts'
import type { Acceptance } from '../../src/protocol/protocol.ts'

const { imap, pop3 } = protocols
const CAPABILITY: Acceptance['capability'] = { words: 'IMAP4rev1 IDLE', where: 'beside' }
const IN_ANSWER: Acceptance['capability'] = { words: 'IMAP4rev1 IDLE', where: 'answer' }
const CLIENT = { attempts: [alice('LOGIN')], ending: 'accepted', unread: '' } as const

for (const code of ['ALERT', 'HIGHESTMODSEQ 7', 'X-NEW'])
  testClient(`sends the code ${code} of the OK ahead where the capabilities take its place`, imap, {
    ...CLIENT,
    script: `
      C: a LOGIN alice secret
      S: * OK [${code}] Password expires soon
      S: a OK [CAPABILITY IMAP4rev1 IDLE] Password expires soon`,
    answers: [accepted({ capability: CAPABILITY, code, text: 'Password expires soon' })],
  })

testClient('sends the capabilities of the answer beside it to a client that has asked for them', imap, {
  ...CLIENT,
  script: `
    C: c CAPABILITY
    S: /^\\* CAPABILITY /
    S: c OK CAPABILITY completed.
    C: a LOGIN alice secret
    S: * CAPABILITY IMAP4rev1 IDLE
    S: a OK Logged in`,
  answers: [accepted({ capability: IN_ANSWER, code: 'CAPABILITY IMAP4rev1 IDLE UNAUTHENTICATE' })],
})

testClient('hands the code of an accepted login on', pop3, {
  script: `
    C: USER alice
    S: +OK Send PASS.
    C: PASS secret
    S: +OK [X-alert] Password expires soon`,
  answers: [accepted({ text: '[X-alert] Password expires soon' })],
  attempts: [alice('USER')],
  ending: 'accepted',
})

testBackend('keeps the code of an accepted login', pop3, {
  script: `
    S: +ok ready
    C: CAPA
    S: -err
    C: USER alice
    S: +Ok
    C: PASS secret
    S: +oK [X-alert] Password expires soon`,
  answer: { text: '[X-alert] Password expires soon' },
})

const OFFER = 'S: * ok [capability imap4REV1 sasl-ir id auth=plain] ready'
const SAY = `C: A AUTHENTICATE PLAIN ${base64('\0alice\0secret')}`
const UNKNOWN = { guarded: true, answer: { capability: undefined, text: 'in', code: undefined } } as const

// A store answers so for a user whose IMAP access is disabled.
for (const [what, said, untagged] of [
  ['NO and an ALERT', 'NO [ALERT] IMAP is disabled', ['* NO [ALERT] IMAP is disabled']],
  ['no and no code', 'no not now', ['* NO not now']],
  ['BAD', 'BAD what?', ['* BAD what?']],
  ['NO with capabilities in it', 'NO [CAPABILITY IMAP4rev1] no', ['* NO no']],
  ['OK and no list', 'OK done', []],
] as const)
  testBackend(`takes an accepted login for one where CAPABILITY is answered with ${what}`, imap, {
    ...UNKNOWN,
    script: `
      ${OFFER}
      ${SAY}
      S: A OK in
      C: C CAPABILITY
      S: C ${said}`,
    answer: { ...UNKNOWN.answer, untagged },
  })

testBackend('hands on what comes before the refusal of CAPABILITY', imap, {
  ...UNKNOWN,
  script: `
    ${OFFER}
    ${SAY}
    S: * OK [ALERT] one
    S: A OK in
    C: C CAPABILITY
    S: * NO two
    S: C NO three`,
  answer: { untagged: ['* OK [ALERT] one', '* NO two', '* NO three'] },
})

const ID_ANSWERS: Record<string, string> = {
  'in lower case': 'S: * id ("name" "x")',
  'in mixed case': 'S: * Id NIL',
  'with a literal': 'S: * ID ("name" {5}\nS> Dove\r\nS:  "version" {1}\nS> \n\nS: )',
}

for (const [what, answer] of Object.entries(ID_ANSWERS)) {
  const login: BackendCase['login'] = { identity: {} }
  testBackend(`keeps the answer to its own ID from the client: ${what}`, imap, {
    login,
    script: `
      ${OFFER}
      C: /^I ID /
      ${SAY}
      ${answer}
      S: I OK done
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: { untagged: [], text: 'in' },
  })
}

testBackend('hands an untagged line on with its literal', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: * METADATA "" (/shared/comment {7}
    S: hi
    S: you)
    S: * OK not a literal {7}
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { untagged: ['* METADATA "" (/shared/comment {7}\r\nhi\r\nyou)', '* OK not a literal {7}'] },
})

testBackend('gives up at a literal beyond all measure', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: * ID ("name" {4294967295}`,
  answer: 'backend-garbage',
})

testBackend('reads every word of a back end in any case', imap, {
  login: { startTls: true },
  script: `
    S: * Ok [Capability imap4REV1 startTLS] ready
    C: S STARTTLS
    S: S ok begin
    = TLS
    C: C CAPABILITY
    S: * capability Imap4Rev1 Sasl-Ir Auth=Plain
    S: C ok
    ${SAY}
    S: * ok [capability imap4rev1 idle unauthenticate] hello
    S: A ok [alert] in`,
  guarded: true,
  answer: { capability: { words: 'imap4rev1 idle', where: 'beside' }, code: 'ALERT', untagged: [] },
})

testBackend('reads a farewell in any case', imap, { script: 'S: * bye', answer: 'backend-bye' })
