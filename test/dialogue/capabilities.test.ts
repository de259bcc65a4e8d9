/** What is announced before login follows from what is offered, and what is not announced is refused. */
import { MECHANISMS, type MechanismName } from '../../src/config/settings.ts'
import { imap } from '../../src/protocol/imap/imap.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import { accepted, alice, base64, testBackend, testEveryClient, testClient } from './play.ts'

const PLAIN = base64('\0alice\0secret')

/** The state of a connection, and the capabilities that the client reads in it. */
const OFFERS: Record<
  string,
  {
    mechanisms?: readonly MechanismName[]
    announced?: readonly string[]
    secure?: boolean
    startTlsOffered?: boolean
    allowPlaintextAuth?: boolean
    certifiedUser?: string
    imap: string
    pop3: readonly string[]
  }
> = {
  'passwords alone': {
    mechanisms: ['PLAIN', 'LOGIN'],
    imap: 'AUTH=PLAIN AUTH=LOGIN',
    pop3: ['USER', 'SASL PLAIN LOGIN'],
  },
  'everything, without a certificate': {
    mechanisms: MECHANISMS,
    imap: 'AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1',
    pop3: ['USER', 'SASL PLAIN LOGIN XOAUTH2 OAUTHBEARER SCRAM-SHA-256 SCRAM-SHA-1'],
  },
  'everything, with a certificate': {
    mechanisms: MECHANISMS,
    certifiedUser: 'alice',
    imap: 'AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1 AUTH=EXTERNAL',
    pop3: ['USER', 'SASL PLAIN LOGIN XOAUTH2 OAUTHBEARER SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL'],
  },
  'tokens alone': {
    mechanisms: ['XOAUTH2', 'OAUTHBEARER'],
    imap: 'AUTH=XOAUTH2 AUTH=OAUTHBEARER LOGINDISABLED',
    pop3: ['SASL XOAUTH2 OAUTHBEARER'],
  },
  'LOGIN alone, which is a mechanism and not the command': {
    mechanisms: ['LOGIN'],
    imap: 'AUTH=LOGIN LOGINDISABLED',
    pop3: ['SASL LOGIN'],
  },
  'EXTERNAL alone, without a certificate': { mechanisms: ['EXTERNAL'], imap: 'LOGINDISABLED', pop3: [] },
  'EXTERNAL alone, with a certificate': {
    mechanisms: ['EXTERNAL'],
    certifiedUser: 'alice',
    imap: 'AUTH=EXTERNAL LOGINDISABLED',
    pop3: ['SASL EXTERNAL'],
  },
  'everything, in clear': {
    mechanisms: MECHANISMS,
    secure: false,
    startTlsOffered: true,
    certifiedUser: 'alice',
    imap: 'STARTTLS LOGINDISABLED',
    pop3: ['STLS'],
  },
  'everything, in clear where the operator allows it': {
    mechanisms: ['PLAIN', 'XOAUTH2'],
    secure: false,
    startTlsOffered: true,
    allowPlaintextAuth: true,
    imap: 'STARTTLS AUTH=PLAIN AUTH=XOAUTH2',
    pop3: ['STLS', 'USER', 'SASL PLAIN XOAUTH2'],
  },
}

for (const [what, offer] of Object.entries(OFFERS)) {
  const {
    secure = true,
    startTlsOffered = false,
    allowPlaintextAuth = false,
    mechanisms = MECHANISMS,
    announced = [],
  } = offer
  const { certifiedUser } = offer
  const wanted = {
    secure,
    ...(certifiedUser !== undefined && { certifiedUser }),
    facts: { startTlsOffered, allowPlaintextAuth, mechanisms, announced },
  }
  testClient(`imap announces, in its greeting too, ${what}`, imap, {
    ...wanted,
    greet: true,
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR ID ENABLE ${offer.imap}] the banner
      C: a CAPABILITY
      S: * CAPABILITY IMAP4rev1 SASL-IR ID ENABLE ${offer.imap}
      S: a OK CAPABILITY completed.`,
  })
  testClient(`pop3 announces ${what}`, pop3, {
    ...wanted,
    script: `
      C: CAPA
      S: +OK Capability list follows
      ${['RESP-CODES', 'AUTH-RESP-CODE', 'X-PROXY-TTL', ...offer.pop3, '.'].map((line) => `S: ${line}`).join('\n')}`,
  })
  const listed = offer.pop3
    .find((line) => line.startsWith('SASL '))
    ?.split(' ')
    .slice(1)
  if (secure || allowPlaintextAuth)
    testClient(`pop3 lists at a bare AUTH what it announces: ${what}`, pop3, {
      ...wanted,
      script: `
        C: AUTH
        ${['+OK', ...(listed ?? []), '.'].map((line) => `S: ${line}`).join('\n')}`,
    })
}

testClient('pop3 lists nothing at a bare AUTH in clear', pop3, {
  secure: false,
  script: `
    C: AUTH
    S: -ERR [AUTH] Passwords are accepted over TLS only.`,
})

testClient('imap announces other words after STARTTLS', imap, {
  secure: false,
  facts: { startTlsOffered: true, mechanisms: ['PLAIN', 'SCRAM-SHA-1'] },
  script: `
    C: a CAPABILITY
    S: * CAPABILITY IMAP4rev1 SASL-IR ID ENABLE STARTTLS LOGINDISABLED
    S: a OK CAPABILITY completed.
    C: b STARTTLS
    S: b OK Begin TLS negotiation now.
    = TLS
    C: c CAPABILITY
    S: * CAPABILITY IMAP4rev1 SASL-IR ID ENABLE AUTH=PLAIN AUTH=SCRAM-SHA-1
    S: c OK CAPABILITY completed.`,
})

testClient('imap announces what holds on every back end', imap, {
  facts: { announced: ['IDLE', 'LITERAL+', 'MOVE', 'IDLE', 'ID'] },
  script: `
    C: a CAPABILITY
    S: * CAPABILITY IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+ MOVE AUTH=PLAIN
    S: a OK CAPABILITY completed.`,
})

testClient('pop3 announces what holds on every back end', pop3, {
  facts: { announced: ['TOP', 'UIDL', 'PIPELINING', 'EXPIRE 60'] },
  script: `
    C: CAPA
    S: +OK Capability list follows
    S: RESP-CODES
    S: AUTH-RESP-CODE
    S: X-PROXY-TTL
    S: TOP
    S: UIDL
    S: PIPELINING
    S: EXPIRE 60
    S: USER
    S: SASL PLAIN
    S: .`,
})

// RFC 5802 6: a channel is bound to one TLS session, and there are two
for (const name of ['SCRAM-SHA-1-PLUS', 'SCRAM-SHA-256-PLUS', 'GSSAPI', 'CRAM-MD5', 'ANONYMOUS', 'NTLM', ''])
  testEveryClient(`refuses the mechanism ${JSON.stringify(name)}, which it never offers`, {
    facts: { mechanisms: MECHANISMS },
    script:
      name === ''
        ? `C: %NOOP
           S: %DONE`
        : `C: %AUTH ${name}
           S: %UNSUPPORTED
           C: %AUTH ${name} ${PLAIN}
           S: %UNSUPPORTED`,
  })

for (const mechanism of MECHANISMS)
  testEveryClient(`refuses ${mechanism} where all the others are offered`, {
    certifiedUser: 'alice',
    facts: { mechanisms: MECHANISMS.filter((other) => other !== mechanism) },
    script: `
      C: %AUTH ${mechanism}
      S: %UNSUPPORTED
      C: %AUTH ${mechanism} ${PLAIN}
      S: %UNSUPPORTED
      C: %NOOP
      S: %DONE`,
  })

testClient('imap refuses LOGIN where PLAIN is not offered, and says why', imap, {
  facts: { mechanisms: ['LOGIN', 'XOAUTH2'] },
  script: `
    C: a LOGIN alice secret
    S: a NO [CANNOT] LOGIN is disabled.
    C: b LOGIN "alice" {6}
    S: + OK
    C: secret
    S: b NO [CANNOT] LOGIN is disabled.
    C: c NOOP
    S: c OK NOOP completed.`,
})

testClient('pop3 refuses USER and PASS where PLAIN is not offered', pop3, {
  facts: { mechanisms: ['LOGIN', 'XOAUTH2'] },
  script: `
    C: USER alice
    S: -ERR USER is disabled
    C: PASS secret
    S: -ERR USER comes before PASS
    C: NOOP
    S: +OK`,
})

testEveryClient('refuses every mechanism in clear', {
  secure: false,
  certifiedUser: 'alice',
  facts: { mechanisms: MECHANISMS, startTlsOffered: true },
  script: MECHANISMS.map(
    (mechanism) => `C: %AUTH ${mechanism}
      S: %PRIVATE`,
  ).join('\n'),
})

// Beside and in the answer: peers.md b.4, 7
const OFFER = 'S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready'
const SAY = `C: A AUTHENTICATE PLAIN ${PLAIN}`
const WITHHELD = 'STARTTLS UNAUTHENTICATE LOGIN-REFERRALS MAILBOX-REFERRALS LOGINDISABLED unauthenticate'

testBackend('withholds what leads past mailmux from the answer, and looks at what follows', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: A OK [CAPABILITY IMAP4rev1 ${WITHHELD} IDLE] in`,
  answer: { capability: { words: 'IMAP4rev1 IDLE', where: 'answer' } },
  guarded: true,
})

testBackend('withholds it beside the answer, and looks at what follows', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: * CAPABILITY IMAP4rev1 ${WITHHELD} IDLE
    S: A OK in`,
  answer: { capability: { words: 'IMAP4rev1 IDLE', where: 'beside' } },
  guarded: true,
})

testBackend('withholds it where it had to ask, and looks at what follows', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: A OK in
    C: C CAPABILITY
    S: * CAPABILITY IMAP4rev1 ${WITHHELD} IDLE
    S: C OK done`,
  answer: { capability: { words: 'IMAP4rev1 IDLE', where: 'beside' } },
  guarded: true,
})

for (const words of ['IMAP4rev1', 'IMAP4rev1 X-UNAUTHENTICATE UNAUTHENTICATED LOGIN-REFERRALS'])
  testBackend(`looks at nothing after a login at a back end without UNAUTHENTICATE: ${words}`, imap, {
    script: `
      ${OFFER}
      ${SAY}
      S: A OK [CAPABILITY ${words}] in`,
    answer: { text: 'in' },
    guarded: false,
  })

testBackend('looks at nothing that is said to a pop3 back end', pop3, {
  script: `
    S: +OK ready
    C: CAPA
    S: +OK
    S: SASL PLAIN
    S: UNAUTHENTICATE
    S: .
    C: AUTH PLAIN ${PLAIN}
    S: +OK in`,
  answer: { text: 'in' },
  guarded: false,
})

testClient('shows the words of the back end once the login is done', imap, {
  facts: { announced: ['IDLE', 'MOVE'] },
  script: `
    C: a LOGIN alice secret
    S: a OK [CAPABILITY IMAP4rev1 QUOTA] Logged in`,
  answers: [accepted({ capability: { words: 'IMAP4rev1 QUOTA', where: 'answer' } })],
  attempts: [alice('LOGIN')],
  ending: 'accepted',
})

// Of one mailmux to another: who is how far from the client
testClient('pop3 reads from another mailmux how many proxies may follow', pop3, {
  script: `
    C: X-PROXY-TTL 3
    S: +OK
    C: USER alice
    S: +OK Send PASS.
    C: PASS secret
    S: -ERR [AUTH] Authentication failed.`,
  attempts: [alice('USER')],
  told: [{ id: {}, ttl: 3 }],
})

testClient('pop3 takes no number of proxies that is none', pop3, {
  facts: { maxBadCommands: 4 },
  script: ['X-PROXY-TTL', 'X-PROXY-TTL -1', 'X-PROXY-TTL 1 2']
    .map(
      (line) => `C: ${line}
        S: -ERR X-PROXY-TTL takes a number`,
    )
    .join('\n'),
})

testBackend('pop3 sends another mailmux how many proxies may follow, before the login', pop3, {
  login: { ttl: 2 },
  script: `
    S: +OK ready
    C: CAPA
    S: +OK
    S: SASL PLAIN
    S: X-PROXY-TTL
    S: .
    C: X-PROXY-TTL 2
    S: +OK
    C: AUTH PLAIN ${PLAIN}
    S: +OK in`,
  answer: { text: 'in' },
})

testBackend('imap withholds compression where it must look at what follows', imap, {
  script: `
    ${OFFER}
    ${SAY}
    S: A OK [CAPABILITY IMAP4rev1 UNAUTHENTICATE COMPRESS=DEFLATE IDLE] in`,
  answer: { capability: { words: 'IMAP4rev1 IDLE', where: 'answer' } },
  guarded: true,
})
