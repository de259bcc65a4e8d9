/** The user's login played again to a ManageSieve back end: how it is said, and what is made of the answers. */
import { managesieve } from '../../src/protocol/managesieve/managesieve.ts'
import { base64, testBackend, type BackendCase } from './play.ts'

const PLAIN = base64('\0alice\0secret')
const IN = { text: 'Logged in.', code: undefined }

const GREETING = `S: "IMPLEMENTATION" "Dovecot Pigeonhole"
      S: "SIEVE" "fileinto vacation"
      S: "SASL" "PLAIN LOGIN SCRAM-SHA-256"
      S: "STARTTLS"
      S: "VERSION" "1.0"
      S: OK "ready"`
const TRUSTING = GREETING.replace('S: OK', 'S: "XCLIENT"\n      S: OK')

const SAID: Record<string, BackendCase> = {
  'AUTHENTICATE with a quoted initial response': {
    script: `
      ${GREETING}
      C: AUTHENTICATE "PLAIN" "${PLAIN}"
      S: OK "Logged in."`,
    answer: IN,
  },
  'an initial response of more than 1,024 octets as a non-synchronising literal': {
    login: { password: 'x'.repeat(900) },
    script: `
      ${GREETING}
      C: AUTHENTICATE "PLAIN" {1212+}
      C: ${base64(`\0alice\0${'x'.repeat(900)}`)}
      S: OK "Logged in."`,
    answer: IN,
  },
  'to a server that greets in literals and lower case': {
    script: `
      S: "implementation" {3}
      S: abc
      S: "sasl" {5}
      S: plain
      S: ok {5}
      S: hello
      C: AUTHENTICATE "PLAIN" "${PLAIN}"
      S: ok (warnings) {10}
      S: Logged in.`,
    answer: IN,
  },
  'STARTTLS, and only what was announced after it': {
    login: { startTls: true },
    script: `
      ${GREETING.replace('PLAIN LOGIN SCRAM-SHA-256', '')}
      C: STARTTLS
      S: OK "Begin TLS"
      = TLS
      ${GREETING}
      C: AUTHENTICATE "PLAIN" "${PLAIN}"
      S: OK "Logged in."`,
    answer: IN,
  },
  'nothing of the user where STARTTLS is missing': {
    login: { startTls: true },
    script: `
      ${GREETING.replace('S: "STARTTLS"\n', '')}`,
    answer: 'backend-no-starttls',
  },
  'nothing of the user where STARTTLS is refused': {
    login: { startTls: true },
    script: `
      ${GREETING}
      C: STARTTLS
      S: NO "not today"`,
    answer: 'backend-no-starttls',
  },
  'nothing where bytes follow the answer to STARTTLS': {
    login: { startTls: true },
    script: `
      ${GREETING}
      C: STARTTLS
      S: OK "Begin TLS"
      S: OK "injected"`,
    answer: ['backend-bytes-before-tls', 'backend-tls-failed'],
  },
  'XCLIENT to a back end that offers it': {
    login: { identity: {} },
    script: `
      ${TRUSTING}
      C: XCLIENT ADDR=192.0.2.7 PORT=4711 DESTADDR=198.51.100.1 DESTPORT=993 SESSION=1a2b-3 TTL=6 CLIENT-TRANSPORT=TLS
      S: OK "Updated"
      C: AUTHENTICATE "PLAIN" "${PLAIN}"
      S: OK "Logged in."`,
    answer: IN,
  },
  'no password where XCLIENT is refused': {
    login: { identity: {} },
    script: `
      ${TRUSTING}
      C: /XCLIENT .*/
      S: NO "no"`,
    answer: 'backend-no-mechanism',
  },
  'how many more proxies may follow to another mailmux': {
    login: { ttl: 4 },
    script: `
      ${GREETING.replace('S: OK', 'S: "X-PROXY-TTL"\n      S: OK')}
      C: X-PROXY-TTL 4
      S: OK
      C: AUTHENTICATE "PLAIN" "${PLAIN}"
      S: OK "Logged in."`,
    answer: IN,
  },
  'SCRAM message for message, with the last one of the server in the code': {
    login: { relayed: { mechanism: 'SCRAM-SHA-256', first: 'n,,n=alice,r=abc', responses: [base64('c=biws')] } },
    script: `
      ${GREETING}
      C: AUTHENTICATE "SCRAM-SHA-256" "${base64('n,,n=alice,r=abc')}"
      S: "${base64('r=abcdef')}"
      C: "${base64('c=biws')}"
      S: OK (SASL "${base64('v=abc')}") "Logged in."`,
    challenges: [base64('r=abcdef')],
    answer: { text: 'Logged in.', code: `SASL "${base64('v=abc')}"` },
  },
  'a cancel where the client gives up': {
    login: { relayed: { mechanism: 'SCRAM-SHA-256', first: 'n,,n=alice,r=abc', responses: ['*'] } },
    script: `
      ${GREETING}
      C: /AUTHENTICATE .*/
      S: {${base64('r=abcdef').length}}
      S: ${base64('r=abcdef')}
      C: "*"
      S: NO "Authentication aborted by client."`,
    answer: { reason: 'cancelled' },
  },
  'nothing to a server without the mechanism': {
    script: GREETING.replace('PLAIN LOGIN SCRAM-SHA-256', 'GSSAPI'),
    answer: 'backend-no-mechanism',
  },
}

const ANSWERS: Record<string, [string, BackendCase['answer']]> = {
  'a wrong password': ['NO "Authentication failed."', { reason: 'authentication-failed' }],
  'an unknown code': ['NO (FOO) "Authentication failed."', { reason: 'authentication-failed' }],
  'TRANSITION-NEEDED, which would tell that the user exists': [
    'NO (TRANSITION-NEEDED) "x"',
    { reason: 'authentication-failed' },
  ],
  'an outage': ['NO (TRYLATER) "Temporary authentication failure."', 'backend-unavailable'],
  'an outage without a code': ['NO "Temporary authentication failure."', 'backend-unavailable'],
  'an error of configuration': ['NO (TRYLATER/NORETRY) "x"', { reason: 'misconfigured' }],
  'a limit of the user': [
    'NO (LIMIT/CONNECTIONS) "Too many."',
    { reason: 'passed-on', code: 'LIMIT/CONNECTIONS', text: 'Too many.' },
  ],
  'a wish for TLS': ['NO (ENCRYPT-NEEDED) "x"', { reason: 'misconfigured' }],
  BYE: ['BYE "Disconnected for inactivity."', 'backend-bye'],
  'BYE with a referral': ['BYE (REFERRAL "sieve://other.example.test") "Try there."', 'backend-bye'],
  'BYE with TRYLATER': ['BYE (TRYLATER) "Shutting down."', 'backend-bye'],
  'something else': ['* OK IMAP4rev1', 'backend-garbage'],
  'an answer with a string in place of its code': ['NO ("" TRYLATER) "x"', 'backend-garbage'],
  'an answer without an end of its code': ['NO (TRYLATER "x"', 'backend-garbage'],
  'a question too many': ['"abc"', 'backend-garbage'],
}

for (const [name, wanted] of Object.entries(SAID)) testBackend(`says ${name}`, managesieve, wanted)
for (const [name, [line, answer]] of Object.entries(ANSWERS)) {
  testBackend(`understands ${name}`, managesieve, {
    script: `
      ${GREETING}
      C: AUTHENTICATE "PLAIN" "${PLAIN}"
      S: ${line}`,
    answer,
  })
}

for (const [name, script, answer] of [
  ['a greeting of BYE', 'S: BYE (TRYLATER) "Overloaded."', 'backend-bye'],
  ['a greeting of NO', 'S: NO "no"', 'backend-bye'],
  ['the greeting of another protocol', 'S: * OK [CAPABILITY IMAP4rev1] ready', 'backend-garbage'],
  ['an OK without capabilities', 'S: OK "ready"', 'backend-garbage'],
  ['a list that does not end', 'S: "X" "y"\n'.repeat(65), 'backend-garbage'],
  ['a literal of a megabyte', 'S: "SIEVE" {1000000}', 'backend-garbage'],
] as const) {
  testBackend(`refuses ${name}`, managesieve, { script, answer })
}
