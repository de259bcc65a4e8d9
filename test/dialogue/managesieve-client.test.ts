/** ManageSieve before login, facing the client (RFC 5804): what is announced, accepted and refused. */
import { managesieve } from '../../src/protocol/managesieve/managesieve.ts'
import { accepted, alice, base64, testClient } from './play.ts'

const PLAIN = base64('\0alice\0secret')
const WRONG = 'S: NO "Authentication failed."'

const announce = (sasl: string, { startTls = false, ok = 'Capability completed.' } = {}): string => `
    S: "IMPLEMENTATION" "mailmux"
    S: "SIEVE" "fileinto"
    S: "SASL" "${sasl}"${startTls ? '\n    S: "STARTTLS"' : ''}
    S: "X-PROXY-TTL"
    S: "VERSION" "1.0"
    S: OK "${ok}"`

testClient('greets with the capabilities and the banner', managesieve, {
  greet: true,
  script: announce('PLAIN', { ok: 'the banner' }),
})

testClient('announces STARTTLS before the last line, and no mechanism, while passwords need TLS', managesieve, {
  greet: true,
  secure: false,
  facts: { startTlsOffered: true },
  script: announce('', { startTls: true, ok: 'the banner' }),
})

testClient('announces what all back ends have in common, and the smallest limit of redirects', managesieve, {
  facts: {
    announced: [
      ...['SIEVE fileinto', 'SIEVE vacation', 'NOTIFY mailto', 'EXTLISTS tag:example.test'],
      ...['MAXREDIRECTS 0', 'MAXREDIRECTS 1', 'MAXREDIRECTS 2'],
    ],
  },
  script: `
    C: capability
    S: "IMPLEMENTATION" "mailmux"
    S: "SIEVE" "fileinto vacation"
    S: "NOTIFY" "mailto"
    S: "MAXREDIRECTS" "2"
    S: "EXTLISTS" "tag:example.test"
    S: "SASL" "PLAIN"
    S: "X-PROXY-TTL"
    S: "VERSION" "1.0"
    S: OK "Capability completed."`,
})

testClient('announces the capabilities again after STARTTLS without being asked', managesieve, {
  secure: false,
  facts: { startTlsOffered: true },
  script: `
    C: STARTTLS
    S: OK "Begin TLS negotiation now."
    = TLS
    ${announce('PLAIN', { ok: 'TLS negotiation successful.' })}
    C: NOOP "STARTTLS-RESYNC-CAPA"
    S: OK (TAG "STARTTLS-RESYNC-CAPA") "Done."
    C: STARTTLS
    S: NO "TLS is already active"`,
})

testClient('closes when bytes follow STARTTLS in clear', managesieve, {
  secure: false,
  facts: { startTlsOffered: true },
  script: `
    C: STARTTLS
    C: AUTHENTICATE "PLAIN" "${PLAIN}"
    S: OK "Begin TLS negotiation now."`,
  // Cut into pieces, the command may arrive after the handshake was begun.
  ending: ['client-bytes-before-tls', 'client-tls-failed'],
})

testClient('refuses a password in clear with ENCRYPT-NEEDED, after it has read the literal', managesieve, {
  secure: false,
  facts: { startTlsOffered: true },
  script: `
    C: AUTHENTICATE "PLAIN" {${PLAIN.length}+}
    C: ${PLAIN}
    S: NO (ENCRYPT-NEEDED) "Passwords are accepted over TLS only."
    C: NOOP
    S: OK "NOOP completed."`,
})

for (const [form, said] of Object.entries({
  'in quotes': `C: AUTHENTICATE "PLAIN" "${PLAIN}"`,
  'with the mechanism in lower case': `C: authenticate "plain" "${PLAIN}"`,
  'as bare words': `C: AUTHENTICATE PLAIN ${PLAIN}`,
  'as a non-synchronising literal': `C: AUTHENTICATE "PLAIN" {${PLAIN.length}+}\nC: ${PLAIN}`,
  'as a literal without the plus, without a continuation': `C: AUTHENTICATE "PLAIN" {${PLAIN.length}}\nC: ${PLAIN}`,
  'with the mechanism as a literal too': `C: AUTHENTICATE {5+}\nC: PLAIN {${PLAIN.length}+}\nC: ${PLAIN}`,
  'with two spaces': `C: AUTHENTICATE  "PLAIN"  "${PLAIN}"`,
})) {
  testClient(`accepts an initial response ${form}`, managesieve, {
    script: `
      ${said}
      S: OK "Logged in"`,
    answers: [accepted()],
    attempts: [alice('PLAIN')],
    ending: 'accepted',
  })
}

for (const [form, said] of Object.entries({
  'in quotes': `C: "${PLAIN}"`,
  'as a bare word': `C: ${PLAIN}`,
  'as a literal': `C: {${PLAIN.length}+}\nC: ${PLAIN}`,
})) {
  testClient(`asks for the response with an empty string, and accepts it ${form}`, managesieve, {
    script: `
      C: AUTHENTICATE "PLAIN"
      S: ""
      ${said}
      S: OK "Logged in"`,
    answers: [accepted()],
    attempts: [alice('PLAIN')],
    ending: 'accepted',
  })
}

testClient('carries the mechanism LOGIN in strings', managesieve, {
  facts: { mechanisms: ['PLAIN', 'LOGIN'] },
  script: `
    C: AUTHENTICATE "LOGIN"
    S: "${base64('Username:')}"
    C: "${base64('alice')}"
    S: "${base64('Password:')}"
    C: {${base64('secret').length}+}
    C: ${base64('secret')}
    S: OK "Logged in"`,
  answers: [accepted()],
  attempts: [alice('LOGIN')],
  ending: 'accepted',
})

testClient('writes the text of the OK as a quoted string, and the last message of SCRAM as its code', managesieve, {
  script: `
    C: AUTHENTICATE "PLAIN" "${PLAIN}"
    S: OK (SASL "dj1hYmM=") "say \\"hello\\""`,
  answers: [accepted({ code: 'SASL "dj1hYmM="', text: 'say "hello"' })],
  attempts: [alice('PLAIN')],
  ending: 'accepted',
})

testClient('hands a challenge and its answers through as strings', managesieve, {
  facts: { mechanisms: ['SCRAM-SHA-256'] },
  script: `
    C: AUTHENTICATE "SCRAM-SHA-256" "${base64('n,,n=alice,r=abc')}"
    S: "${base64('r=abcdef,s=AA==,i=4096')}"
    C: "${base64('c=biws,r=abcdef,p=AA==')}"
    ${WRONG}`,
  challenges: [base64('r=abcdef,s=AA==,i=4096')],
  attempts: [
    {
      user: 'alice',
      mechanism: 'SCRAM-SHA-256',
      firstMessage: 'n,,n=alice,r=abc',
      responses: [base64('c=biws,r=abcdef,p=AA==')],
    },
  ],
})

testClient('takes the string * for a cancel', managesieve, {
  script: `
    C: AUTHENTICATE "PLAIN"
    S: ""
    C: "*"
    S: NO "Authentication cancelled."
    C: AUTHENTICATE "PLAIN"
    S: ""
    C: *
    S: NO "Authentication cancelled."`,
})

testClient('refuses a mechanism that is not offered, and EXTERNAL without a certificate', managesieve, {
  facts: { mechanisms: ['PLAIN', 'EXTERNAL'] },
  script: `
    C: AUTHENTICATE "GSSAPI" ""
    S: NO "Unsupported authentication mechanism."
    C: AUTHENTICATE "EXTERNAL" ""
    S: NO "Unsupported authentication mechanism."`,
})

testClient('logs a client in by its certificate', managesieve, {
  certifiedUser: 'alice',
  facts: { mechanisms: ['PLAIN', 'EXTERNAL'] },
  script: `
    C: AUTHENTICATE "EXTERNAL" ""
    S: OK "Logged in"`,
  answers: [accepted()],
  attempts: [{ user: 'alice', mechanism: 'EXTERNAL', certified: true }],
  ending: 'accepted',
})

testClient('returns the tag of NOOP in quotes, and as a literal where quotes cannot hold it', managesieve, {
  script: `
    C: NOOP
    S: OK "NOOP completed."
    C: NOOP "a \\"b\\" \\\\"
    S: OK (TAG "a \\"b\\" \\\\") "Done."
    C: NOOP {3+}
    C: abc
    S: OK (TAG "abc") "Done."
    C: NOOP {3+}
    C: a
    C:
    S: OK (TAG {3}
    S: a
    S: ) "Done."`,
})

testClient('leaves at LOGOUT', managesieve, { script: `C: LOGOUT\nS: OK "Logout completed."`, ending: 'logout' })

testClient('ends after the third command that is none', managesieve, {
  script: `
    C: LISTSCRIPTS
    S: NO "Not a command before login"
    C: UNAUTHENTICATE
    S: NO "Not a command before login"
    C: PUTSCRIPT "a" {3+}
    C: foo
    S: NO "Not a command before login"`,
  ending: 'client-too-many-bad-commands',
})

testClient('consumes the literal of a malformed command, so that it never counts as a command', managesieve, {
  script: `
    C: ) {36+}
    C: AUTHENTICATE "PLAIN" "AGEAYg==" ....
    S: NO "Not a command"
    C: NOOP
    S: OK "NOOP completed."`,
})

testClient('ends on a literal of more than 64 KiB', managesieve, {
  script: 'C: NOOP {65537+}',
  ending: 'client-literal-too-large',
})

testClient('ends on a command of many small literals', managesieve, {
  script: `${'C: {8000+}\n'.repeat(1)}C: ${'x'.repeat(8000)}{73000+}`,
  ending: 'client-literal-too-large',
})

testClient('ends on a line of more than 8 KiB that is no AUTHENTICATE', managesieve, {
  script: `C: NOOP "${'x'.repeat(9000)}"`,
  ending: 'client-line-too-long',
})

testClient('hangs up on a browser', managesieve, { script: 'C: POST / HTTP/1.1', ending: 'client-http' })

testClient('keeps the number of proxies that may follow, and drops it at STARTTLS', managesieve, {
  script: `
    C: X-PROXY-TTL "3"
    S: OK
    C: AUTHENTICATE "PLAIN" "${PLAIN}"
    ${WRONG}
    C: X-PROXY-TTL abc
    S: NO "X-PROXY-TTL takes a number"`,
  attempts: [alice('PLAIN')],
  told: [{ id: {}, ttl: 3 }],
})

testClient('says TRYLATER for an outage and passes a limit on', managesieve, {
  script: `
    C: AUTHENTICATE "PLAIN" "${PLAIN}"
    S: NO (TRYLATER) "Account is temporarily unavailable."
    C: AUTHENTICATE "PLAIN" "${PLAIN}"
    S: NO (LIMIT/CONNECTIONS) "Too many connections."
    C: AUTHENTICATE "PLAIN" "${PLAIN}"
    S: NO (TRYLATER/NORETRY) "Account is unavailable."
    C: AUTHENTICATE "PLAIN" "${PLAIN}"
    S: NO "This account is disabled."`,
  answers: [
    { reason: 'unavailable' },
    { reason: 'passed-on', code: 'LIMIT/CONNECTIONS', text: 'Too many connections.' },
    { reason: 'misconfigured' },
    { reason: 'disabled' },
  ],
  attempts: [alice('PLAIN'), alice('PLAIN'), alice('PLAIN'), alice('PLAIN')],
})

testClient('refuses an empty password as a wrong one', managesieve, {
  script: `
    C: AUTHENTICATE "PLAIN" "${base64('\0alice\0')}"
    ${WRONG}`,
})
