/** Earlier defects, each as the smallest conversation that shows it. */
import { imap } from '../../src/protocol/imap/imap.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import { accepted, alice, base64, testBackend, testClient } from './play.ts'

testClient('ends at a non-synchronising literal of 11 digits (RFC 9051 number64)', imap, {
  script: `
    C: a LOGIN alice {00000004097+}
    C: b LOGIN mallory secret`,
  ending: 'client-literal-too-large',
})
testClient('warns of a sent password only where one was sent', imap, {
  secure: false,
  facts: { startTlsOffered: true },
  script: `
    C: a AUTHENTICATE PLAIN
    S: a NO [PRIVACYREQUIRED] Passwords are accepted over TLS only.`,
})
const BESIDE = accepted({ capability: { words: 'IMAP4rev1 IDLE', where: 'beside' } })
testClient('counts no CAPABILITY after STARTTLS as a sign that the client asks', imap, {
  secure: false,
  facts: { startTlsOffered: true },
  script: `
    C: s STARTTLS
    S: s OK Begin TLS negotiation now.
    = TLS
    C: c CAPABILITY
    S: /^\\* CAPABILITY/
    S: c OK CAPABILITY completed.
    C: a LOGIN alice secret
    S: a OK [CAPABILITY IMAP4rev1 IDLE] Logged in`,
  answers: [BESIDE],
  attempts: [alice('LOGIN')],
  ending: 'accepted',
})
testClient('takes CAPABILITY in clear for a sign that the client asks', imap, {
  secure: false,
  facts: { startTlsOffered: true, allowPlaintextAuth: true },
  script: `
    C: c CAPABILITY
    S: /^\\* CAPABILITY/
    S: c OK CAPABILITY completed.
    C: a LOGIN alice secret
    S: * CAPABILITY IMAP4rev1 IDLE
    S: a OK Logged in`,
  answers: [BESIDE],
  attempts: [alice('LOGIN')],
  ending: 'accepted',
})
const OFFER = 'S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready'
const SAY = `C: A AUTHENTICATE PLAIN ${base64('\0alice\0secret')}`
testBackend('takes a tagged BAD for no wrong password', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: A BAD internal server error`,
  answer: { reason: 'misconfigured' },
})
testBackend('gives LITERAL- 4096 octets at most (RFC 7888 5)', imap, {
  login: { password: '\xe4'.repeat(4097) },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 LITERAL-] ready
    C: A LOGIN "alice" {4097}
    S: +
    C: ${'\xe4'.repeat(4097)}
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { text: 'in' },
})
testClient('refuses an empty password as a wrong one', imap, {
  script: `
    C: a LOGIN alice ""
    S: a NO [AUTHENTICATIONFAILED] Authentication failed.`,
})
testBackend('shows no referral of an accepted login', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: * CAPABILITY IMAP4rev1
    S: A OK [REFERRAL imap://alice@10.0.0.9/] in`,
  answer: { code: undefined },
})
testBackend('takes a referral for no wrong password', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: A NO [REFERRAL imap://alice@10.0.0.9/] elsewhere`,
  answer: { reason: 'misconfigured' },
})
testBackend('withholds UNAUTHENTICATE in an untagged OK too', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: * OK [CAPABILITY IMAP4rev1 UNAUTHENTICATE] hello
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { untagged: [] },
})
testBackend('takes a pop3 referral for no wrong password', pop3, {
  script: `
    S: +OK
    C: CAPA
    S: -ERR
    C: USER alice
    S: +OK
    C: PASS secret
    S: -ERR [REFERRAL/alice@10.0.0.9:110] elsewhere`,
  answer: { reason: 'misconfigured' },
})
testBackend('refuses an imap back end that says OK before it has the response', imap, {
  script: `
    S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready
    C: A AUTHENTICATE PLAIN
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: 'backend-garbage',
})
testBackend('refuses a pop3 back end that says +OK before it has the response', pop3, {
  login: { password: 'x'.repeat(300) },
  script: `
    S: +OK ready
    C: CAPA
    S: +OK
    S: SASL PLAIN
    S: .
    C: AUTH PLAIN
    S: +OK`,
  answer: 'backend-garbage',
})

// Every -ERR may be the answer to a line of the header: taken for a refused password it would cost the client its password.
testBackend('takes no pop3 back end that a PROXY header has puzzled for one that refuses a password', pop3, {
  login: { proxyHeader: true },
  script: `
    S: +OK ready
    C: CAPA
    S: -ERR Unknown command.`,
  answer: 'backend-garbage',
})
