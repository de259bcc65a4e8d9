/** What these tests have found: each mistake as the smallest conversation that shows it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ImapGuard } from '../../src/protocol/imap/guard.ts'
import { GuardedSession } from '../support/guarded.ts'
import { imap } from '../../src/protocol/imap/imap.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import { alice, base64, testBackend, testEveryClient, testClient } from './play.ts'

// Whoever sits on the wire may put it in ahead of STARTTLS, and the client's own, which is the second, would not count.
testClient('ignores an ID from before TLS', imap, {
  secure: false,
  facts: { startTlsOffered: true },
  script: `
    C: i ID ("name" "injected" "x-proxy-ttl" "1")
    S: * ID ("name" "mailmux")
    S: i OK ID completed.
    C: s STARTTLS
    S: s OK Begin TLS negotiation now.
    = TLS
    C: i ID ("name" "mutt")
    S: * ID ("name" "mailmux")
    S: i OK ID completed.
    C: a LOGIN alice secret
    S: a NO [AUTHENTICATIONFAILED] Authentication failed.`,
  attempts: [alice('LOGIN')],
  told: [{ id: { name: 'mutt' }, ttl: undefined }],
})

testClient('ignores an X-PROXY-TTL from before TLS', pop3, {
  secure: false,
  facts: { startTlsOffered: true },
  script: `
    C: X-PROXY-TTL 1
    S: +OK
    C: STLS
    S: +OK Begin TLS negotiation now.
    = TLS
    C: USER alice
    S: +OK Send PASS.
    C: PASS secret
    S: -ERR [AUTH] Authentication failed.`,
  attempts: [alice('USER')],
  told: [{ id: {}, ttl: undefined }],
})

// CVE-2025-59028: what the client answers to a challenge of the back end is checked as every other line of its is
const SCRAM = 'n,,n=alice,r=nonce'
for (const [what, line] of [
  ['words', 'this is no base64'],
  ['a bare CR', 'AQ==\rAQ=='],
  ['octets beyond ASCII', '\xff\xfe\0'],
] as const) {
  testBackend(`hands no ${what} on to an imap back end as an answer to its challenge`, imap, {
    login: { relayed: { mechanism: 'SCRAM-SHA-1', first: SCRAM, responses: [line] } },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-1] ready
      C: A AUTHENTICATE SCRAM-SHA-1 ${base64(SCRAM)}
      S: + QQ==
      C: *
      S: A BAD cancelled`,
    answer: { reason: 'cancelled' },
  })
  testBackend(`hands no ${what} on to a pop3 back end as an answer to its challenge`, pop3, {
    login: { relayed: { mechanism: 'SCRAM-SHA-1', first: SCRAM, responses: [line] } },
    script: `
      S: +OK ready
      C: CAPA
      S: +OK
      S: SASL SCRAM-SHA-1
      S: .
      C: AUTH SCRAM-SHA-1 ${base64(SCRAM)}
      S: + QQ==
      C: *
      S: -ERR cancelled`,
    answer: { reason: 'cancelled' },
  })
}

testBackend('keeps an alert that comes before a challenge', imap, {
  login: { relayed: { mechanism: 'SCRAM-SHA-1', first: SCRAM, responses: ['QQ=='] } },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-1] ready
    C: A AUTHENTICATE SCRAM-SHA-1 ${base64(SCRAM)}
    S: * OK [ALERT] the store moves tonight
    S: + QQ==
    C: QQ==
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { untagged: ['* OK [ALERT] the store moves tonight'] },
})

// RFC 5802 5.1: whose password it is is a saslname as well
for (const octets of ['n,a=alice,n=al=ice,r=nonce', 'n,a=alice,n=ad\0min,r=nonce'])
  testEveryClient(`refuses SCRAM whose second name is none: ${JSON.stringify(octets)}`, {
    facts: { mechanisms: ['SCRAM-SHA-256'] },
    script: `
      C: %AUTH SCRAM-SHA-256 ${base64(octets)}
      S: %MALFORMED`,
  })

/**
 * Forms of the command that Stalwart takes (crates/imap-proto/src/receiver.rs: white space before a tag and around a command is passed
 * over, line ends too; handle_unauthenticate looks at no argument; a literal begins behind white space alone, and has 15 digits at most).
 */
const TAKEN_BY_STALWART: Record<string, string> = {
  'with an argument': 'a UNAUTHENTICATE now\r\n',
  'behind a space': ' a UNAUTHENTICATE\r\n',
  'behind a TAB': '\ta UNAUTHENTICATE\r\n',
  'before a TAB': 'a UNAUTHENTICATE\t\r\n',
  'behind a TAB of its own': 'a \tUNAUTHENTICATE\r\n',
  'behind a CR': 'a \rUNAUTHENTICATE\r\n',
  'on a line of its own': 'a \r\nUNAUTHENTICATE\r\n',
  'in what only looks like a literal': 'a NOOP x{60+}\r\nb UNAUTHENTICATE\r\n',
  'behind a literal that nobody takes': 'a NOOP {9999999999999999+}\r\nb UNAUTHENTICATE\r\n',
  'in the middle of a very long line': `${'t'.repeat(128)} UNAUTHENTICATE${' '.repeat(140)}\r\n`,
}

for (const [how, octets] of Object.entries(TAKEN_BY_STALWART))
  test(`does not let UNAUTHENTICATE pass ${how}`, () => {
    const session = new GuardedSession(new ImapGuard())
    session.fromClient(octets)
    assert.doesNotMatch(session.toBackend, /UNAUTHENTICATE/)
  })
