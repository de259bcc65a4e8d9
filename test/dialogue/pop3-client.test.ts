import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import { accepted, alice, base64, testClient, type Attempt } from './play.ts'

const ALWAYS = `S: +OK Capability list follows
    S: RESP-CODES
    S: AUTH-RESP-CODE
    S: X-PROXY-TTL`

const WRONG = 'S: -ERR [AUTH] Authentication failed.'

testClient('greets with the banner', pop3, { greet: true, script: 'S: +OK the banner' })

testClient('lists STLS and no way to log in while the connection is in clear', pop3, {
  secure: false,
  facts: { startTlsOffered: true },
  script: `
    C: CAPA
    ${ALWAYS}
    S: STLS
    S: .`,
})

testClient('lists STLS and ways to log in where passwords are allowed in clear', pop3, {
  secure: false,
  facts: { startTlsOffered: true, allowPlaintextAuth: true },
  script: `
    C: CAPA
    ${ALWAYS}
    S: STLS
    S: USER
    S: SASL PLAIN
    S: .`,
})

testClient('lists ways to log in and no STLS over TLS', pop3, {
  facts: { startTlsOffered: true },
  script: `
    C: capa
    ${ALWAYS}
    S: USER
    S: SASL PLAIN
    S: .`,
})

testClient('lists what all back ends have', pop3, {
  facts: { announced: ['TOP', 'UIDL'] },
  script: `
    C: CAPA
    ${ALWAYS}
    S: TOP
    S: UIDL
    S: USER
    S: SASL PLAIN
    S: .`,
})

testClient('lists the mechanisms for a bare AUTH, as old clients probe them', pop3, {
  script: `
    C: AUTH
    S: +OK
    S: PLAIN
    S: .
    C: NOOP
    S: +OK`,
})

testClient('refuses STLS where it is not offered', pop3, {
  secure: false,
  script: `
    C: STLS
    S: -ERR STLS is not available`,
})

testClient('refuses STLS under TLS', pop3, {
  facts: { startTlsOffered: true },
  script: `
    C: STLS
    S: -ERR TLS is already active`,
})

// RFC 2595 4
testClient('drops the user name that was given before STLS', pop3, {
  secure: false,
  facts: { startTlsOffered: true, allowPlaintextAuth: true },
  script: `
    C: USER mallory
    S: +OK Send PASS.
    C: STLS
    S: +OK Begin TLS negotiation now.
    = TLS
    C: PASS secret
    S: -ERR USER comes before PASS
    C: USER alice
    C: PASS secret
    S: +OK Send PASS.
    ${WRONG}`,
  attempts: [alice('USER')],
})

/** USER and PASS as given, and what is handed out. */
const TAKEN: Record<string, { user: string; pass: string; changes?: Partial<Attempt> }> = {
  'a name and a password': { user: 'alice', pass: 'secret' },
  // RFC 1939 7: the rest of the line is the password
  'a password with spaces, within and at both ends': {
    user: 'alice',
    pass: ' pass  word ',
    changes: { password: ' pass  word ' },
  },
  'a password that looks like IMAP': {
    user: 'alice',
    pass: '"a\\b" {3+}',
    changes: { password: '"a\\b" {3+}' },
  },
  'octets beyond ASCII': {
    user: 'al\xeece',
    pass: 'p\xe4\xff',
    changes: { user: 'al\xeece', authcid: 'al\xeece', password: 'p\xe4\xff' },
  },
}

for (const [what, { user, pass, changes }] of Object.entries(TAKEN)) {
  testClient(`USER and PASS take ${what}`, pop3, {
    script: `
    C: USER ${user}
    S: +OK Send PASS.
    C: PASS ${pass}
    ${WRONG}`,
    attempts: [alice('USER', changes)],
  })
}

testClient('takes the last user name that was given', pop3, {
  script: `
    C: USER bob
    C: USER alice
    C: PASS secret
    S: +OK Send PASS.
    S: +OK Send PASS.
    ${WRONG}`,
  attempts: [alice('USER')],
})

testClient('wants the user name again after a wrong password', pop3, {
  script: `
    C: USER alice
    C: PASS wrong
    C: PASS secret
    S: +OK Send PASS.
    ${WRONG}
    S: -ERR USER comes before PASS`,
  attempts: [alice('USER', { password: 'wrong' })],
})

const REFUSED: Record<string, { line: string; answer: string }> = {
  'PASS without USER': { line: 'PASS secret', answer: 'USER comes before PASS' },
  'USER without a name': { line: 'USER', answer: 'USER takes a user name' },
  'a NUL in a user name': { line: 'USER ali\0ce', answer: 'USER takes a user name' },
  'a CR in a user name': { line: 'USER ali\rce', answer: 'USER takes a user name' },
  'a command of a session': { line: 'STAT', answer: 'Not a command before login' },
  'APOP, for which no timestamp was given': {
    line: 'APOP alice c4c9334bac560ecc979e58001b3e22fb',
    answer: 'Not a command before login',
  },
  'an empty line': { line: '', answer: 'Not a command before login' },
  'a leading space': { line: ' NOOP', answer: 'Not a command before login' },
  'a mechanism that is not offered': { line: 'AUTH CRAM-MD5', answer: 'Unsupported authentication mechanism' },
  'AUTH with more than a response': {
    line: `AUTH PLAIN ${base64('\0alice\0secret')} more`,
    answer: 'Unsupported authentication mechanism',
  },
}

for (const [what, { line, answer }] of Object.entries(REFUSED)) {
  testClient(`refuses ${what}, and goes on`, pop3, {
    script: `
    C: ${line}
    S: -ERR ${answer}
    C: NOOP
    S: +OK`,
  })
}

for (const pass of ['sec\0ret', 'sec\tret', 'sec\rret'])
  testClient(`refuses the password ${JSON.stringify(pass)}, and keeps the user name`, pop3, {
    script: `
    C: USER alice
    S: +OK Send PASS.
    C: PASS ${pass}
    S: -ERR PASS takes a password
    C: PASS secret
    ${WRONG}`,
    attempts: [alice('USER')],
  })

const ACCEPTED = accepted({ text: '3 messages' })

// RFC 2449 6.8: a client that sees PIPELINING sends all of these at once
testClient('reads nothing that was pipelined behind an accepted login', pop3, {
  script: `
    C: USER alice
    C: PASS secret
    C: STAT
    C: RETR 1
    S: +OK Send PASS.
    S: +OK 3 messages`,
  answers: [ACCEPTED],
  attempts: [alice('USER')],
  ending: 'accepted',
  unread: 'STAT\r\nRETR 1\r\n',
})

testClient('answers an AUTH that was accepted in the words of the back end', pop3, {
  script: `
    C: AUTH PLAIN ${base64('\0alice\0secret')}
    S: +OK 3 messages`,
  answers: [ACCEPTED],
  attempts: [alice('PLAIN')],
  ending: 'accepted',
})
