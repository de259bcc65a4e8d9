import { imap } from '../../src/protocol/imap/imap.ts'
import { alice, testClient } from './play.ts'

const WORDS = 'IMAP4rev1 SASL-IR ID ENABLE'
/** Announced by the back ends, and so by mailmux. */
const COMMON = { announced: ['IDLE', 'LITERAL+', 'NAMESPACE'] }
const STARTTLS = { secure: false, facts: { startTlsOffered: true } }

testClient('greets in clear with STARTTLS and without a way to log in', imap, {
  ...STARTTLS,
  greet: true,
  script: `S: * OK [CAPABILITY ${WORDS} STARTTLS LOGINDISABLED] the banner`,
})

testClient('greets in clear with a way to log in where that is allowed', imap, {
  greet: true,
  secure: false,
  facts: { startTlsOffered: true, allowPlaintextAuth: true },
  script: `S: * OK [CAPABILITY ${WORDS} STARTTLS AUTH=PLAIN] the banner`,
})

testClient('greets in clear without STARTTLS where no certificate is there to show', imap, {
  greet: true,
  secure: false,
  facts: { allowPlaintextAuth: true },
  script: `S: * OK [CAPABILITY ${WORDS} AUTH=PLAIN] the banner`,
})

testClient('greets over TLS without STARTTLS', imap, {
  greet: true,
  facts: { startTlsOffered: true },
  script: `S: * OK [CAPABILITY ${WORDS} AUTH=PLAIN] the banner`,
})

// RFC 7888 5: LITERAL+ and LITERAL- exclude each other
testClient('announces what all back ends have', imap, {
  greet: true,
  facts: COMMON,
  script: 'S: /^\\* OK \\[CAPABILITY IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL\\+ NAMESPACE AUTH=PLAIN\\] the banner$/',
})

testClient('announces no LOGIN where PLAIN is not offered', imap, {
  greet: true,
  facts: { mechanisms: [] },
  script: `S: * OK [CAPABILITY ${WORDS} LOGINDISABLED] the banner`,
})

// email-oauth2-proxy#101: some clients do not wait for the greeting
testClient('reads what the client sent before the greeting', imap, {
  greet: true,
  script: `
    C: A1 LOGIN alice secret
    S: /^\\* OK \\[CAPABILITY /
    S: A1 NO [AUTHENTICATIONFAILED] Authentication failed.`,
  attempts: [alice('LOGIN')],
})

testClient('answers what needs no back end, in any case of letters', imap, {
  script: `
    C: a CAPABILITY
    S: * CAPABILITY ${WORDS} AUTH=PLAIN
    S: a OK CAPABILITY completed.
    C: b noop
    S: b OK NOOP completed.
    C: c iD NIL
    S: * ID ("name" "mailmux")
    S: c OK ID completed.
    C: d ID ("name" "a client" "version" "1.0")
    S: * ID ("name" "mailmux")
    S: d OK ID completed.
    C: e ENABLE CONDSTORE
    S: * ENABLED
    S: e OK Nothing is enabled before login.
    C: f LogOut
    S: * BYE Logging out
    S: f OK LOGOUT completed.`,
  ending: 'logout',
})

testClient('answers pipelined commands in order', imap, {
  script: `
    C: a NOOP
    C: b ID NIL
    C: c NOOP
    C: d LOGOUT
    C: e NOOP
    S: a OK NOOP completed.
    S: * ID ("name" "mailmux")
    S: b OK ID completed.
    S: c OK NOOP completed.
    S: * BYE Logging out
    S: d OK LOGOUT completed.`,
  ending: 'logout',
  unread: 'e NOOP\r\n',
})

// RFC 2971 3.3: 30 pairs of up to 30 and 1024 octets are honest
testClient('takes an ID as long as the RFC allows, in literals', imap, {
  script: `
    C: a ID ("${'k'.repeat(30)}" {1024+}
    ${`C: ${'v'.repeat(1024)} "${'k'.repeat(30)}" {1024+}\n`.repeat(29)}
    C: ${'v'.repeat(1024)})
    S: * ID ("name" "mailmux")
    S: a OK ID completed.`,
})

testClient('takes an ID with a synchronising literal', imap, {
  script: `
    C: a ID ("name" {5}
    S: + OK
    C: a"b\\c "version" {2}
    S: + OK
    C: 10)
    S: * ID ("name" "mailmux")
    S: a OK ID completed.`,
})

testClient('refuses commands of a session without ending', imap, {
  script: `
    C: a SELECT INBOX
    S: a BAD Not a command before login
    C: b UNAUTHENTICATE
    S: b BAD Not a command before login
    C: c NOOP
    S: c OK NOOP completed.`,
})

testClient('ends at the third bad command', imap, {
  script: `
    C: a SELECT INBOX
    S: a BAD Not a command before login
    C: b FETCH 1 BODY[]
    S: b BAD Not a command before login
    C: c LIST "" *
    C: d NOOP
    S: c BAD Not a command before login`,
  ending: 'client-too-many-bad-commands',
  unread: 'd NOOP\r\n',
})

testClient('does not count good commands as bad', imap, {
  script: `
    ${Array.from({ length: 20 }, (_, i) => `C: ${i} NOOP\n    S: ${i} OK NOOP completed.`).join('\n    ')}`,
})

// RFC 9051 2.2.1; an answer that repeats a page's request would let that page speak to a mail client
for (const line of ['+ NOOP', 'a+b NOOP', '(a NOOP', '"a" NOOP', 'a{1} NOOP', 'a%b NOOP', 'a* NOOP', 'a\\ NOOP'])
  testClient(`never repeats the invalid tag of ${line}`, imap, {
    script: `
      C: ${line}
      S: * BAD Invalid tag`,
  })

testClient('never repeats a tag longer than any client needs', imap, {
  script: `
    C: ${'t'.repeat(64)} NOOP
    S: ${'t'.repeat(64)} OK NOOP completed.
    C: ${'t'.repeat(65)} NOOP
    S: * BAD Invalid tag`,
})

testClient('refuses an empty line, a lone tag and a leading space', imap, {
  facts: { maxBadCommands: 9 },
  script: `
    C:
    S: * BAD Invalid tag
    C: a
    S: a BAD Not a command before login
    C>  a NOOP\x20
    C:
    S: * BAD Invalid tag
    C: a \x20
    S: a BAD Not a command before login`,
})

testClient('a LOGIN without a tag is refused with a hint to the tag', imap, {
  script: `
    C: LOGIN alice secret
    S: LOGIN BAD A command begins with a tag: try "a LOGIN user password"`,
})

testClient('reads a line as long as the limit', imap, {
  facts: { maxLineBytes: 64 },
  script: `
    C: a NOOP ${'x'.repeat(64 - 'a NOOP '.length - 1)}
    S: a OK NOOP completed.`,
})

testClient('ends at a line longer than the limit', imap, {
  facts: { maxLineBytes: 64 },
  script: `
    C: a NOOP
    C: b NOOP ${'x'.repeat(64)}
    S: a OK NOOP completed.`,
  ending: 'client-line-too-long',
})

testClient('ends at a line longer than the limit before it has come to its end', imap, {
  facts: { maxLineBytes: 64 },
  script: `
    C> ${'x'.repeat(65)}`,
  ending: 'client-line-too-long',
})

testClient('drops a partial line when the client closes', imap, {
  script: `
    C> a LOGOUT`,
})

testClient('starts TLS, and offers it only once', imap, {
  ...STARTTLS,
  script: `
    C: a STARTTLS
    S: a OK Begin TLS negotiation now.
    = TLS
    C: b CAPABILITY
    S: * CAPABILITY ${WORDS} AUTH=PLAIN
    S: b OK CAPABILITY completed.
    C: c STARTTLS
    S: c BAD TLS is already active
    C: d LOGIN alice secret
    S: d NO [AUTHENTICATIONFAILED] Authentication failed.`,
  attempts: [alice('LOGIN')],
})

testClient('refuses STARTTLS where it is not offered', imap, {
  secure: false,
  facts: { allowPlaintextAuth: true },
  script: `
    C: a STARTTLS
    S: a BAD STARTTLS is not available
    C: b NOOP
    S: b OK NOOP completed.`,
})
