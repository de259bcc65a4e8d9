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
})

testClient('refuses UTF8 where a back end does not take it', pop3, {
  script: `
    C: UTF8
    S: -ERR UTF8 is not available`,
})

testBackend('switches the back end to UTF8 before the login', pop3, {
  login: { utf8: true },
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
  login: { utf8: true },
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
