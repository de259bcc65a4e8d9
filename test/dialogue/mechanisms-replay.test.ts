/** Mechanisms whose proof is the client's own, carried to a back end line by line; both protocols from one table. */
import { imap } from '../../src/protocol/imap/imap.ts'
import type { Protocol } from '../../src/protocol/protocol.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import { base64, testBackend, testClient, type BackendCase } from './play.ts'

const SERVER_FIRST = base64('r=noncesnonce,s=QSXCR+Q6sek8bf92,i=4096')
const CLIENT_FINAL = base64('c=biws,r=noncesnonce,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=')
const SERVER_FINAL = base64('v=rmF9pqV8S7suAoZWja4dJRkFsKQ=')
const FAILURE = base64('{"status":"invalid_token"}')

const SCRAM = 'n,,n=alice,r=nonce'
const XOAUTH2 = 'user=alice\x01auth=Bearer token\x01\x01'
const OAUTHBEARER = 'n,a=alice,\x01auth=Bearer token\x01\x01'

/** `%IN` and `%NO` are the back end's last word; `offer` is what it offers, by default the mechanism itself. */
type Promised = Omit<BackendCase, 'script'> & {
  login: BackendCase['login'] & { relayed: object }
  offer?: string
  /** the octets of the first message as the back end gets them, where it gets any */
  first?: string
  script: string
}

const PROMISES: Record<string, Promised> = {
  'SCRAM that succeeds, the server’s proof in a challenge of its own': {
    login: { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM, responses: [CLIENT_FINAL, ''] } },
    first: SCRAM,
    script: `
      S: + ${SERVER_FIRST}
      C: ${CLIENT_FINAL}
      S: + ${SERVER_FINAL}
      C:\x20
      S: %IN`,
    answer: { text: 'in' },
    challenges: [SERVER_FIRST, SERVER_FINAL],
  },
  'SCRAM that fails': {
    login: { relayed: { mechanism: 'SCRAM-SHA-1', first: SCRAM, responses: [CLIENT_FINAL] } },
    first: SCRAM,
    script: `
      S: + ${SERVER_FIRST}
      C: ${CLIENT_FINAL}
      S: %NO`,
    answer: { reason: 'authentication-failed' },
    challenges: [SERVER_FIRST],
  },
  'SCRAM refused at once': {
    login: { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM } },
    first: SCRAM,
    script: 'S: %NO',
    answer: { reason: 'authentication-failed' },
    challenges: [],
  },
  'SCRAM that the client gives up': {
    login: { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM, responses: ['*'] } },
    first: SCRAM,
    script: `
      S: + ${SERVER_FIRST}
      C: *
      S: %BAD`,
    answer: { reason: 'cancelled' },
    challenges: [SERVER_FIRST],
  },
  'SCRAM whose client is gone': {
    login: { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM } },
    first: SCRAM,
    script: `S: + ${SERVER_FIRST}`,
    answer: 'client-closed',
    challenges: [SERVER_FIRST],
  },
  'SCRAM of a client that writes its domain in capitals': {
    login: { user: 'alice@example.org', relayed: { mechanism: 'SCRAM-SHA-1', first: 'n,,n=alice@EXAMPLE.org,r=n' } },
    first: 'n,,n=alice@EXAMPLE.org,r=n',
    script: 'S: %IN',
    answer: { text: 'in' },
  },
  // the proof covers the name: a login under another one could only fail, and would look like a wrong password
  'SCRAM for a name that is another at the back end': {
    login: { user: 'alice@example.org', relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM } },
    script: '',
    answer: 'backend-no-mechanism',
    challenges: [],
  },
  'a token that is taken': {
    login: { relayed: { mechanism: 'XOAUTH2', first: XOAUTH2 } },
    first: XOAUTH2,
    script: 'S: %IN',
    answer: { text: 'in' },
    challenges: [],
  },
  // Google: the client answers the error with an empty line
  'XOAUTH2 with a token that is refused': {
    login: { relayed: { mechanism: 'XOAUTH2', first: XOAUTH2, responses: [''] } },
    first: XOAUTH2,
    script: `
      S: + ${FAILURE}
      C:\x20
      S: %NO`,
    answer: { reason: 'authentication-failed' },
    challenges: [FAILURE],
  },
  // RFC 7628 3.2.3: the client answers with ^A
  'OAUTHBEARER with a token that is refused': {
    login: { relayed: { mechanism: 'OAUTHBEARER', first: OAUTHBEARER, responses: ['AQ=='] } },
    first: OAUTHBEARER,
    script: `
      S: + ${FAILURE}
      C: AQ==
      S: %NO`,
    answer: { reason: 'authentication-failed' },
    challenges: [FAILURE],
  },
  'OAUTHBEARER with a token that is refused, and a client that gives up': {
    login: { relayed: { mechanism: 'OAUTHBEARER', first: OAUTHBEARER, responses: ['*'] } },
    first: OAUTHBEARER,
    script: `
      S: + ${FAILURE}
      C: *
      S: %NO`,
    answer: { reason: 'cancelled' },
    challenges: [FAILURE],
  },
  'XOAUTH2 for a name that is another at the back end': {
    login: { user: 'alice@example.org', relayed: { mechanism: 'XOAUTH2', first: XOAUTH2 } },
    first: 'user=alice@example.org\x01auth=Bearer token\x01\x01',
    script: 'S: %IN',
    answer: { text: 'in' },
  },
  'OAUTHBEARER for a name that is another at the back end, and wants escapes': {
    login: {
      user: 'a,b=c',
      relayed: { mechanism: 'OAUTHBEARER', first: 'n,a=alice,\x01port=143\x01auth=Bearer t\x01\x01' },
    },
    first: 'n,a=a=2Cb=3Dc,\x01port=143\x01auth=Bearer t\x01\x01',
    script: 'S: %IN',
    answer: { text: 'in' },
  },
  'an empty challenge, with the space and without': {
    login: { relayed: { mechanism: 'SCRAM-SHA-1', first: SCRAM, responses: ['QQ==', 'QUI='] } },
    first: SCRAM,
    script: `
      S: +\x20
      C: QQ==
      S: +
      C: QUI=
      S: %IN`,
    answer: { text: 'in' },
    challenges: ['', ''],
  },
  'a mechanism that the back end lacks': {
    login: { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM } },
    offer: 'PLAIN',
    script: '',
    answer: 'backend-no-mechanism',
    challenges: [],
  },
  'a mechanism that the back end has with channel binding alone': {
    login: { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM } },
    offer: 'SCRAM-SHA-256-PLUS',
    script: '',
    answer: 'backend-no-mechanism',
  },
  'a back end that closes while the client is asked': {
    login: { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM, responses: [CLIENT_FINAL] } },
    first: SCRAM,
    script: `
      S: + ${SERVER_FIRST}
      C: ${CLIENT_FINAL}
      = end`,
    answer: 'backend-closed',
  },
  'a back end that is down': {
    login: { relayed: { mechanism: 'XOAUTH2', first: XOAUTH2 } },
    first: XOAUTH2,
    script: 'S: %DOWN',
    answer: 'backend-unavailable',
  },
}

const LAST_WORDS = {
  imap: {
    IN: 'A OK [CAPABILITY IMAP4rev1] in',
    NO: 'A NO [AUTHENTICATIONFAILED] no',
    BAD: 'A BAD cancelled',
    DOWN: 'A NO [UNAVAILABLE] down',
  },
  pop3: { IN: '+OK in', NO: '-ERR [AUTH] no', BAD: '-ERR cancelled', DOWN: '-ERR [SYS/TEMP] down' },
}

for (const [what, { offer, first, script, ...wanted }] of Object.entries(PROMISES)) {
  const { mechanism } = wanted.login.relayed
  const offered = offer ?? mechanism
  const begin = {
    imap: `S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=${offered}] ready
      ${first === undefined ? '' : `C: A AUTHENTICATE ${mechanism} ${base64(first)}`}`,
    pop3: `S: +OK ready
      C: CAPA
      S: +OK
      S: SASL ${offered}
      S: .
      ${first === undefined ? '' : `C: AUTH ${mechanism} ${base64(first)}`}`,
  }
  for (const [name, protocol] of Object.entries({ imap, pop3 }) as [keyof typeof begin, Protocol][]) {
    const words: Record<string, string> = LAST_WORDS[name]
    testBackend(`${name} carries ${what}`, protocol, {
      ...wanted,
      script: `${begin[name]}\n${script.replace(/%([A-Z]+)/g, (_, word: string) => words[word] ?? '')}`,
    })
  }
}

testBackend('refuses a back end that accepts a token unseen', imap, {
  login: { relayed: { mechanism: 'XOAUTH2', first: XOAUTH2 } },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready
    C: A AUTHENTICATE XOAUTH2
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: 'backend-garbage',
})

// RFC 9051 7.6 wants a space after the plus; some servers leave it out even where something follows
testBackend('reads an imap challenge without its space', imap, {
  login: { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM, responses: [CLIENT_FINAL] } },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] ready
    C: A AUTHENTICATE SCRAM-SHA-256 ${base64(SCRAM)}
    S: +${SERVER_FIRST}
    C: ${CLIENT_FINAL}
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { text: 'in' },
  challenges: [SERVER_FIRST],
})

testBackend('takes no pop3 answer for a challenge', pop3, {
  login: { relayed: { mechanism: 'SCRAM-SHA-256', first: SCRAM } },
  script: `
    S: +OK ready
    C: CAPA
    S: +OK
    S: SASL SCRAM-SHA-256
    S: .
    C: AUTH SCRAM-SHA-256 ${base64(SCRAM)}
    S: +OK+`,
  answer: 'backend-garbage',
})

testBackend('keeps what a back end says beside a challenge for the client', imap, {
  login: { relayed: { mechanism: 'XOAUTH2', first: XOAUTH2 } },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
    C: A AUTHENTICATE XOAUTH2 ${base64(XOAUTH2)}
    S: * OK [ALERT] the store moves tonight
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { untagged: ['* OK [ALERT] the store moves tonight'] },
})

for (const [name, protocol, auth, no] of [
  ['imap', imap, 'a AUTHENTICATE', 'a NO [AUTHENTICATIONFAILED] Authentication failed.'],
  ['pop3', pop3, 'AUTH', '-ERR [AUTH] Authentication failed.'],
] as const) {
  testClient(`${name} asks the client what a back end asks, and hands out its answers`, protocol, {
    facts: { mechanisms: ['SCRAM-SHA-256'] },
    challenges: [SERVER_FIRST, ''],
    script: `
      C: ${auth} SCRAM-SHA-256 ${base64(SCRAM)}
      S: + ${SERVER_FIRST}
      C: ${CLIENT_FINAL}
      S: +\x20
      C:\x20
      S: ${no}`,
    attempts: [{ user: 'alice', mechanism: 'SCRAM-SHA-256', firstMessage: SCRAM, responses: [CLIENT_FINAL, ''] }],
  })
  testClient(`${name} hands out the client’s wish to give up`, protocol, {
    facts: { mechanisms: ['OAUTHBEARER'] },
    challenges: [FAILURE],
    answers: [{ reason: 'cancelled' }],
    script: `
      C: ${auth} OAUTHBEARER ${base64(OAUTHBEARER)}
      S: + ${FAILURE}
      C: *
      S: ${name === 'imap' ? 'a BAD Authentication cancelled.' : '-ERR Authentication cancelled.'}`,
    attempts: [{ user: 'alice', mechanism: 'OAUTHBEARER', firstMessage: OAUTHBEARER, responses: ['*'] }],
  })
  testClient(`${name} ends when the client goes while a back end asks`, protocol, {
    facts: { mechanisms: ['OAUTHBEARER'] },
    challenges: [FAILURE],
    script: `
      C: ${auth} OAUTHBEARER ${base64(OAUTHBEARER)}
      S: + ${FAILURE}
      = end`,
    ending: 'client-closed',
  })
}
