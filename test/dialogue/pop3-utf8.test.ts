/** UTF8 (RFC 6856 2.1) is said before the login and meant for the session: it has to reach the back end. */
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import { alice, base64, testBackend, testClient } from './play.ts'

testClient('takes UTF8 where every back end does', pop3, {
  facts: { announced: ['UTF8'] },
  script: `
    C: UTF8
    S: +OK UTF8 is on for this session.
    C: USER alice
    S: +OK Send PASS.
    C: PASS secret
    S: -ERR [AUTH] Authentication failed.`,
  attempts: [alice('USER')],
  preambles: [['UTF8']],
})

testClient('replays UTF8 once, for every login after it', pop3, {
  facts: { announced: ['UTF8'] },
  script: `
    C: UTF8
    S: +OK UTF8 is on for this session.
    C: UTF8
    S: +OK UTF8 is on for this session.
    C: AUTH PLAIN ${base64('\0alice\0secret')}
    S: -ERR [AUTH] Authentication failed.
    C: USER alice
    S: +OK Send PASS.
    C: PASS secret
    S: -ERR [AUTH] Authentication failed.`,
  attempts: [alice('PLAIN'), alice('USER')],
  preambles: [['UTF8'], ['UTF8']],
})

testClient('replays nothing that the client said before TLS', pop3, {
  secure: false,
  facts: { announced: ['UTF8'], startTlsOffered: true },
  script: `
    C: UTF8
    S: +OK UTF8 is on for this session.
    C: STLS
    S: +OK Begin TLS negotiation now.
    = TLS
    C: USER alice
    S: +OK Send PASS.
    C: PASS secret
    S: -ERR [AUTH] Authentication failed.`,
  attempts: [alice('USER')],
  preambles: [[]],
})

testClient('refuses UTF8 where a back end does not take it', pop3, {
  script: `
    C: UTF8
    S: -ERR UTF8 is not available`,
})

testBackend('switches the back end to UTF8 before the login', pop3, {
  login: { preamble: ['UTF8'] },
  script: `
    S: +OK ready
    C: CAPA
    S: +OK
    S: UTF8
    S: SASL PLAIN
    S: .
    C: UTF8
    S: +OK
    C: AUTH PLAIN ${base64('\0alice\0secret')}
    S: +OK in`,
  answer: { text: 'in' },
})

testBackend('gives up a back end that refuses the UTF8 that the client was promised', pop3, {
  login: { preamble: ['UTF8'] },
  script: `
    S: +OK ready
    C: CAPA
    S: +OK
    S: SASL PLAIN
    S: .
    C: UTF8
    S: -ERR unknown command`,
  answer: 'backend-no-mechanism',
})
