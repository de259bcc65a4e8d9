/** The user's login played again to a POP3 back end: how it is said, and what is made of the answers. */
import { encodeUtf8 } from '../../src/octets.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import { base64, testBackend, type BackendCase } from './play.ts'

const PLAIN = base64('\0alice\0secret')
const IN = { text: '3 messages' }

const CAPA = `C: CAPA
      S: +OK
      S: TOP
      S: STLS
      S: SASL CRAM-MD5 PLAIN
      S: .`

/** The longest password that still goes into a line of 255 octets with AUTH PLAIN (RFC 5034 4). */
const FITS = 'x'.repeat(173)

const SAID: Record<string, BackendCase> = {
  'AUTH PLAIN in one line': {
    script: `
      S: +OK ready
      ${CAPA}
      C: AUTH PLAIN ${PLAIN}
      S: +OK 3 messages`,
    answer: { ...IN, untagged: [], capability: undefined, code: undefined },
  },
  'AUTH PLAIN with the authzid where the client acts for another': {
    login: { user: 'alice', authcid: 'admin' },
    script: `
      S: +OK ready
      ${CAPA}
      C: AUTH PLAIN ${base64('alice\0admin\0secret')}
      S: +OK 3 messages`,
    answer: IN,
  },
  'words in any case of letters': {
    script: `
      S: +ok ready
      C: CAPA
      S: +ok
      S: sasl plain
      S: .
      C: AUTH PLAIN ${PLAIN}
      S: +ok 3 messages`,
    answer: IN,
  },
  'AUTH PLAIN in the longest line that has room for it': {
    login: { password: FITS },
    script: `
      S: +OK ready
      ${CAPA}
      C: AUTH PLAIN ${base64(`\0alice\0${FITS}`)}
      S: +OK 3 messages`,
    answer: IN,
  },
  'AUTH PLAIN in two steps where a line would be longer than 255 octets': {
    login: { password: `${FITS}xxx` },
    script: `
      S: +OK ready
      ${CAPA}
      C: AUTH PLAIN
      S: +\x20
      C: ${base64(`\0alice\0${FITS}xxx`)}
      S: +OK 3 messages`,
    answer: IN,
  },
  'AUTH PLAIN in two steps to a back end that leaves the space after the plus out': {
    login: { password: 'x'.repeat(300) },
    script: `
      S: +OK ready
      ${CAPA}
      C: AUTH PLAIN
      S: +
      C: ${base64(`\0alice\0${'x'.repeat(300)}`)}
      S: +OK 3 messages`,
    answer: IN,
  },
  'no password to a back end that refuses AUTH in the first step': {
    login: { password: 'x'.repeat(300) },
    script: `
      S: +OK ready
      ${CAPA}
      C: AUTH PLAIN
      S: -ERR [AUTH] not you`,
    answer: { reason: 'authentication-failed' },
  },
  'USER and PASS where PLAIN is not offered': {
    login: { password: ' pass word ' },
    script: `
      S: +OK ready
      C: CAPA
      S: +OK
      S: USER
      S: SASL CRAM-MD5
      S: .
      C: USER alice
      S: +OK
      C: PASS  pass word\x20
      S: +OK 3 messages`,
    answer: IN,
  },
  // RFC 1939 knows no CAPA
  'USER and PASS to a back end without CAPA': {
    script: `
      S: +OK ready
      C: CAPA
      S: -ERR what?
      C: USER alice
      S: +OK
      C: PASS secret
      S: +OK 3 messages`,
    answer: IN,
  },
  'no password to a back end that refuses the user name': {
    script: `
      S: +OK ready
      C: CAPA
      S: -ERR
      C: USER alice
      S: -ERR [AUTH] nobody`,
    answer: { reason: 'authentication-failed' },
  },
}

for (const [what, wanted] of Object.entries(SAID)) testBackend(`says ${what}`, pop3, wanted)

testBackend('starts TLS, and asks for everything anew', pop3, {
  login: { startTls: true },
  script: `
    S: +OK ready
    ${CAPA}
    C: STLS
    S: +OK begin
    = TLS
    C: CAPA
    S: +OK
    S: USER
    S: .
    C: USER alice
    S: +OK
    C: PASS secret
    S: +OK 3 messages`,
  answer: IN,
})

testBackend('leaves what follows the answer unread', pop3, {
  script: `
    S: +OK ready
    ${CAPA}
    C: AUTH PLAIN ${PLAIN}
    S: +OK 3 messages
    S: early`,
  answer: IN,
  unread: 'early\r\n',
})

// A client may show the text on a terminal, and an operator the log.
testBackend('hands nothing on that a terminal obeys', pop3, {
  script: `
    S: +OK ready
    ${CAPA}
    C: AUTH PLAIN ${PLAIN}
    S: +OK in\x1b[31m \x07\x7f ${encodeUtf8('\u009b\u202e Größe')}`,
  answer: { text: `in?[31m ?? ${encodeUtf8('????? Größe')}` },
})

const GREETINGS: Record<string, { greeting: string; answer: BackendCase['answer'] }> = {
  '-ERR, as a full server does': { greeting: 'S: -ERR too busy', answer: 'backend-bye' },
  IMAP: { greeting: 'S: * OK [CAPABILITY IMAP4rev1] ready', answer: 'backend-garbage' },
  'an empty line': { greeting: 'S:', answer: 'backend-garbage' },
  'a word that only begins like +OK': { greeting: 'S: +OKAY', answer: 'backend-garbage' },
}

for (const [what, { greeting, answer }] of Object.entries(GREETINGS))
  testBackend(`does not log in at a back end that greets with ${what}`, pop3, { script: greeting, answer })

/** What is made of a refusal: RFC 2449's and RFC 3206's codes, and what servers say without them. */
const REFUSALS: Record<string, { says: string; answer: BackendCase['answer'] }> = {
  AUTH: { says: '-ERR [AUTH] no such user', answer: { reason: 'authentication-failed' } },
  'no code': { says: '-ERR user unknown', answer: { reason: 'authentication-failed' } },
  'no words': { says: '-ERR', answer: { reason: 'authentication-failed' } },
  'SYS/TEMP': { says: '-ERR [SYS/TEMP] the store is away', answer: 'backend-unavailable' },
  'SYS/PERM': { says: '-ERR [SYS/PERM] oops', answer: { reason: 'misconfigured' } },
  'IN-USE': {
    says: '-ERR [IN-USE] locked by another session',
    answer: { reason: 'passed-on', code: 'IN-USE', text: 'locked by another session' },
  },
  'LOGIN-DELAY': {
    says: '-ERR [LOGIN-DELAY] too soon',
    answer: { reason: 'passed-on', code: 'LOGIN-DELAY', text: 'too soon' },
  },
  LIMIT: { says: '-ERR [LIMIT] too many', answer: { reason: 'passed-on', code: 'LIMIT', text: 'too many' } },
}

for (const [what, { says, answer }] of Object.entries(REFUSALS)) {
  testBackend(`understands a refusal of AUTH with ${what}`, pop3, {
    script: `
      S: +OK ready
      ${CAPA}
      C: AUTH PLAIN ${PLAIN}
      S: ${says}`,
    answer,
  })
  testBackend(`understands a refusal of PASS with ${what}`, pop3, {
    script: `
      S: +OK ready
      C: CAPA
      S: -ERR
      C: USER alice
      S: +OK
      C: PASS secret
      S: ${says}`,
    answer,
  })
}

const BROKEN: Record<string, BackendCase> = {
  'does not end its capabilities': {
    script: `
      S: +OK ready
      C: CAPA
      S: +OK
      ${'S: X\n'.repeat(65)}`,
    answer: 'backend-garbage',
  },
  'asks for more than a response': {
    script: `
      S: +OK ready
      ${CAPA}
      C: AUTH PLAIN ${PLAIN}
      S: + more`,
    answer: 'backend-garbage',
  },
  'has USER alone, which cannot name whom one acts for': {
    login: { user: 'alice', authcid: 'admin' },
    script: `
      S: +OK ready
      C: CAPA
      S: -ERR`,
    answer: 'backend-no-mechanism',
  },
}

for (const [what, wanted] of Object.entries(BROKEN)) testBackend(`gives up a back end that ${what}`, pop3, wanted)
