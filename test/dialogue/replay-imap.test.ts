/** The user's login played again to an IMAP back end: how it is said, and what is made of the answers. */
import { encodeUtf8 } from '../../src/octets.ts'
import { imap } from '../../src/protocol/imap/imap.ts'
import { base64, testBackend, type BackendCase } from './play.ts'

const PLAIN = base64('\0alice\0secret')
const IN = { text: 'in' }

/** How a login is said, by what the back end offers. */
const SAID: Record<string, BackendCase> = {
  'PLAIN in one line where the greeting offers SASL-IR': {
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN ${PLAIN}
      S: A OK [CAPABILITY IMAP4rev1 IDLE] in`,
    answer: {
      capability: { words: 'IMAP4rev1 IDLE', where: 'answer' },
      code: 'CAPABILITY IMAP4rev1 IDLE',
      untagged: [],
      ...IN,
    },
  },
  'PLAIN with the authzid where the client acts for another': {
    login: { user: 'alice', authcid: 'admin' },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN ${base64('alice\0admin\0secret')}
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  'PLAIN in one line after asking for capabilities': {
    script: `
      S: * OK ready
      C: C CAPABILITY
      S: * CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN
      S: C OK done
      C: A AUTHENTICATE PLAIN ${PLAIN}
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  'words in any case of letters': {
    script: `
      S: * ok [capability imap4rev1 sasl-ir auth=plain] ready
      C: A AUTHENTICATE PLAIN ${PLAIN}
      S: A ok [capability IMAP4rev1 IDLE] in`,
    answer: { capability: { words: 'IMAP4rev1 IDLE', where: 'answer' } },
  },
  'PLAIN where the back end announces IMAP4rev2 alone': {
    script: `
      S: * OK [CAPABILITY IMAP4rev2 SASL-IR AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN ${PLAIN}
      S: A OK [CAPABILITY IMAP4rev2] in`,
    answer: IN,
  },
  'PLAIN in two steps without SASL-IR': {
    script: `
      S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN
      S: +\x20
      C: ${PLAIN}
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  // Dovecot since 2026-07, greenmail#246
  'PLAIN in two steps to a back end that leaves the space after the plus out': {
    script: `
      S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN
      S: +
      C: ${PLAIN}
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  'no password to a back end that refuses PLAIN in the first step': {
    script: `
      S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN
      S: A NO [AUTHENTICATIONFAILED] not you`,
    answer: { reason: 'authentication-failed' },
  },
  'LOGIN quoted where PLAIN is not offered': {
    login: { password: 'pass "word" \\' },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=CRAM-MD5] ready
      C: A LOGIN "alice" "pass \\"word\\" \\\\"
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  'LOGIN with a synchronising literal for octets beyond ASCII': {
    login: { password: 'p\xe4ss' },
    script: `
      S: * OK [CAPABILITY IMAP4rev1] ready
      C: A LOGIN "alice" {4}
      S: + go on
      C: p\xe4ss
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  'LOGIN with two synchronising literals': {
    login: { user: 'al\xefce', password: 'p\xe4ss' },
    script: `
      S: * OK [CAPABILITY IMAP4rev1] ready
      C: A LOGIN {5}
      S: + go on
      C: al\xefce {4}
      S: +
      C: p\xe4ss
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  'LOGIN with literals in one go where LITERAL+ is offered': {
    login: { user: 'al\xefce', password: 'p\xe4ss' },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 LITERAL+] ready
      C: A LOGIN {5+}
      C: al\xefce {4+}
      C: p\xe4ss
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  'LOGIN with a short literal in one go where LITERAL- is offered': {
    login: { password: 'p\xe4ss' },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 LITERAL-] ready
      C: A LOGIN "alice" {4+}
      C: p\xe4ss
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  // RFC 7888 5: LITERAL- takes 4096 octets unasked
  'LOGIN with a longer literal when asked to go on where LITERAL- is offered': {
    login: { password: '\xe4'.repeat(4097) },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 LITERAL-] ready
      C: A LOGIN "alice" {4097}
      S: +
      C: ${'\xe4'.repeat(4097)}
      S: A OK [CAPABILITY IMAP4rev1] in`,
    answer: IN,
  },
  'no password to a back end that refuses the literal before it': {
    login: { password: 'p\xe4ss' },
    script: `
      S: * OK [CAPABILITY IMAP4rev1] ready
      C: A LOGIN "alice" {4}
      S: A NO [LIMIT] Too many connections`,
    answer: { reason: 'passed-on', code: 'LIMIT', text: 'Too many connections' },
  },
}

for (const [what, wanted] of Object.entries(SAID)) testBackend(`says ${what}`, imap, wanted)

const OFFER = 'S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready'
const SAY = `C: A AUTHENTICATE PLAIN ${PLAIN}`

testBackend('takes capabilities that come beside the answer', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: * CAPABILITY IMAP4rev1 IDLE
    S: A OK in`,
  answer: { capability: { words: 'IMAP4rev1 IDLE', where: 'beside' }, untagged: [], code: undefined },
})

testBackend('asks for capabilities after a login whose answer has none', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: * OK [ALERT] nearly full
    S: A OK [READ-WRITE] in
    C: C CAPABILITY
    S: * CAPABILITY IMAP4rev1 IDLE
    S: C OK done`,
  answer: {
    capability: { words: 'IMAP4rev1 IDLE', where: 'beside' },
    code: 'READ-WRITE',
    untagged: ['* OK [ALERT] nearly full'],
  },
})

// RFC 8437 would let another user in past the routing; referrals name hosts behind mailmux
for (const where of ['answer', 'beside'] as const)
  testBackend(`withholds what would lead around mailmux from capabilities in the ${where}`, imap, {
    script: `
      ${OFFER}
      ${SAY}
      ${where === 'answer' ? 'S: A OK [' : 'S: * '}CAPABILITY IMAP4rev1 Unauthenticate IDLE LOGIN-REFERRALS MAILBOX-REFERRALS STARTTLS LOGINDISABLED${where === 'answer' ? '] in' : '\n      S: A OK in'}`,
    answer: { capability: { words: 'IMAP4rev1 IDLE', where } },
  })

testBackend('leaves what follows the answer unread', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: A OK [CAPABILITY IMAP4rev1] in
    S: * 3 EXISTS`,
  answer: IN,
  unread: '* 3 EXISTS\r\n',
})

// SmarterMail and Gmail send one untagged line before the answer; be general
testBackend('hands untagged lines on, as many as are sensible', imap, {
  script: `
    ${OFFER}
    ${SAY}
    ${Array.from({ length: 32 }, (_, i) => `S: * OK ${i}`).join('\n')}
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { untagged: Array.from({ length: 32 }, (_, i) => `* OK ${i}`) },
})

testBackend('gives up at a flood of untagged lines', imap, {
  script: `
    ${OFFER}
    ${SAY}
    ${Array.from({ length: 33 }, (_, i) => `S: * OK ${i}`).join('\n')}`,
  answer: 'backend-garbage',
})

testBackend('starts TLS as the greeting offers it, and asks for everything anew', imap, {
  login: { startTls: true },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready
    C: S STARTTLS
    S: S OK begin
    = TLS
    C: C CAPABILITY
    S: * CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN
    S: C OK done
    ${SAY}
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: IN,
})

testBackend('starts TLS after asking whether it is offered', imap, {
  login: { startTls: true },
  script: `
    S: * OK ready
    C: C CAPABILITY
    S: * CAPABILITY IMAP4rev1 STARTTLS
    S: C OK done
    C: S STARTTLS
    S: S OK begin
    = TLS
    C: C CAPABILITY
    S: * CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN
    S: C OK done
    ${SAY}
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: IN,
})

// nodemailer#1835: what was announced in clear says nothing once TLS runs
testBackend('drops after TLS what was offered before it', imap, {
  login: { startTls: true },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN] ready
    C: S STARTTLS
    S: S OK begin
    = TLS
    C: C CAPABILITY
    S: * CAPABILITY IMAP4rev1
    S: C OK done
    C: A LOGIN "alice" "secret"
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: IN,
})

const GREETINGS: Record<string, { greeting: string; answer: BackendCase['answer'] }> = {
  'BYE, as a full server does': { greeting: 'S: * BYE too busy', answer: 'backend-bye' },
  'PREAUTH, which is not this user': {
    greeting: 'S: * PREAUTH [CAPABILITY IMAP4rev1] hello',
    answer: 'backend-garbage',
  },
  NO: { greeting: 'S: * NO', answer: 'backend-garbage' },
  'a tag': { greeting: 'S: A OK hello', answer: 'backend-garbage' },
  POP3: { greeting: 'S: +OK POP3 ready', answer: 'backend-garbage' },
  'an empty line': { greeting: 'S:', answer: 'backend-garbage' },
  'capabilities without IMAP4rev1': {
    greeting: 'S: * OK [CAPABILITY IMAP4 AUTH=PLAIN] old',
    answer: 'backend-garbage',
  },
}

for (const [what, { greeting, answer }] of Object.entries(GREETINGS))
  testBackend(`does not log in at a back end that greets with ${what}`, imap, { script: greeting, answer })

/** What is made of a refusal: RFC 5530's codes, and what servers say without them. */
const REFUSALS: Record<string, { says: string; answer: BackendCase['answer'] }> = {
  AUTHENTICATIONFAILED: {
    says: 'NO [AUTHENTICATIONFAILED] no such user',
    answer: { reason: 'authentication-failed' },
  },
  'NO without a code': { says: 'NO user unknown', answer: { reason: 'authentication-failed' } },
  'NO without a word': { says: 'NO', answer: { reason: 'authentication-failed' } },
  UNAVAILABLE: { says: 'NO [UNAVAILABLE] the store is away', answer: 'backend-unavailable' },
  SERVERBUG: { says: 'NO [SERVERBUG] oops', answer: { reason: 'misconfigured' } },
  PRIVACYREQUIRED: { says: 'NO [PRIVACYREQUIRED] TLS first', answer: { reason: 'misconfigured' } },
  AUTHORIZATIONFAILED: { says: 'NO [AUTHORIZATIONFAILED] not for him', answer: { reason: 'authorization-failed' } },
  ...Object.fromEntries(
    ['EXPIRED', 'CONTACTADMIN', 'LIMIT', 'ALERT', 'INUSE', 'OVERQUOTA'].map((code) => [
      code,
      {
        says: `NO [${code}] words of the store`,
        answer: { reason: 'passed-on', code, text: 'words of the store' } as const,
      },
    ]),
  ),
}

for (const [what, { says, answer }] of Object.entries(REFUSALS))
  testBackend(`understands a refusal with ${what}`, imap, {
    script: `
      ${OFFER}
      ${SAY}
      S: A ${says}`,
    answer,
  })

const BROKEN: Record<string, BackendCase> = {
  'says BYE in place of an answer': {
    script: `
      ${OFFER}
      ${SAY}
      S: * BYE shutting down`,
    answer: 'backend-bye',
  },
  'answers another tag': {
    script: `
      ${OFFER}
      ${SAY}
      S: B OK in`,
    answer: 'backend-garbage',
  },
  'asks for more than a response': {
    script: `
      ${OFFER}
      ${SAY}
      S: + more`,
    answer: 'backend-garbage',
  },
  'refuses CAPABILITY': {
    script: `
      S: * OK ready
      C: C CAPABILITY
      S: C NO`,
    answer: 'backend-garbage',
  },
  'answers CAPABILITY without telling any': {
    script: `
      S: * OK ready
      C: C CAPABILITY
      S: C OK done`,
    answer: 'backend-garbage',
  },
  'offers no way to log in': {
    script: 'S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=SCRAM-SHA-256] ready',
    answer: 'backend-no-mechanism',
  },
  'has LOGIN alone, which cannot name whom one acts for': {
    login: { user: 'alice', authcid: 'admin' },
    script: 'S: * OK [CAPABILITY IMAP4rev1] ready',
    answer: 'backend-no-mechanism',
  },
}

for (const [what, wanted] of Object.entries(BROKEN)) testBackend(`gives up a back end that ${what}`, imap, wanted)

// A client may show the text on a terminal, and an operator the log.
testBackend('hands nothing on that a terminal obeys', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: * OK [ALERT] \x1b[2Jnearly\x07 full\x7f ${encodeUtf8('\u009b\u202e Größe')}
    S: A OK [CAPABILITY IMAP4rev1] in\x1b[31m`,
  answer: { untagged: [`* OK [ALERT] ?[2Jnearly? full? ${encodeUtf8('????? Größe')}`], text: 'in?[31m' },
})
