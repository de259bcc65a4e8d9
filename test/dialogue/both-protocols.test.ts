/** What both protocols promise to a client before login, from one table; what differs is only how each says it. */
import type { Refusal } from '../../src/protocol/protocol.ts'
import { accepted, alice, base64, protocols, testClient, type ClientCase } from './play.ts'

type Promised = Omit<ClientCase, 'script'> & { imap: string; pop3: string }

const PLAIN = base64('\0alice\0secret')
const LOGIN = { imap: alice('LOGIN'), pop3: alice('USER') }

const PROMISES: Record<string, Promised> = {
  'takes PLAIN with an initial response': {
    imap: `
      C: a AUTHENTICATE PLAIN ${PLAIN}
      S: a NO [AUTHENTICATIONFAILED] Authentication failed.`,
    pop3: `
      C: AUTH PLAIN ${PLAIN}
      S: -ERR [AUTH] Authentication failed.`,
    attempts: [alice('PLAIN')],
  },
  'takes PLAIN in two steps, and asks with a plus and a space': {
    imap: `
      C: a authenticate plain
      S: +\x20
      C: ${PLAIN}
      S: a NO [AUTHENTICATIONFAILED] Authentication failed.`,
    pop3: `
      C: auth plain
      S: +\x20
      C: ${PLAIN}
      S: -ERR [AUTH] Authentication failed.`,
    attempts: [alice('PLAIN')],
  },
  'takes the authzid as the user, and keeps whose password it is': {
    imap: `
      C: a AUTHENTICATE PLAIN ${base64('alice\0admin\0secret')}
      S: a NO [AUTHENTICATIONFAILED] Authentication failed.`,
    pop3: `
      C: AUTH PLAIN ${base64('alice\0admin\0secret')}
      S: -ERR [AUTH] Authentication failed.`,
    attempts: [alice('PLAIN', { authcid: 'admin' })],
  },
  'takes every octet of a PLAIN password that is no control character': {
    imap: `
      C: a AUTHENTICATE PLAIN ${base64('\0alice\0 "\\{3+}\x80\xff ')}
      S: a NO [AUTHENTICATIONFAILED] Authentication failed.`,
    pop3: `
      C: AUTH PLAIN ${base64('\0alice\0 "\\{3+}\x80\xff ')}
      S: -ERR [AUTH] Authentication failed.`,
    attempts: [alice('PLAIN', { password: ' "\\{3+}\x80\xff ' })],
  },
  'lets the client cancel PLAIN, and go on': {
    imap: `
      C: a AUTHENTICATE PLAIN
      S: +\x20
      C: *
      S: a BAD Authentication cancelled.
      C: b NOOP
      S: b OK NOOP completed.`,
    pop3: `
      C: AUTH PLAIN
      S: +\x20
      C: *
      S: -ERR Authentication cancelled.
      C: NOOP
      S: +OK`,
  },
  // RFC 4959 3: "=" is an empty response, and an empty PLAIN message is malformed
  'reads = as an empty initial response': {
    imap: `
      C: a AUTHENTICATE PLAIN =
      S: a BAD Invalid SASL response`,
    pop3: `
      C: AUTH PLAIN =
      S: -ERR Invalid SASL response`,
  },
  'ends at the third bad command': {
    imap: `
      C: a ONE
      C: b TWO
      C: c THREE
      C: d NOOP
      S: a BAD Not a command before login
      S: b BAD Not a command before login
      S: c BAD Not a command before login`,
    pop3: `
      C: ONE
      C: TWO
      C: THREE
      C: NOOP
      S: -ERR Not a command before login
      S: -ERR Not a command before login
      S: -ERR Not a command before login`,
    ending: 'client-too-many-bad-commands',
  },
  'bears two bad commands and as many good ones as there are': {
    imap: `
      C: a ONE
      S: a BAD Not a command before login
      ${'C: b NOOP\nS: b OK NOOP completed.\n'.repeat(10)}
      C: c TWO
      S: c BAD Not a command before login
      ${'C: d NOOP\nS: d OK NOOP completed.\n'.repeat(10)}`,
    pop3: `
      C: ONE
      S: -ERR Not a command before login
      ${'C: NOOP\nS: +OK\n'.repeat(10)}
      C: TWO
      S: -ERR Not a command before login
      ${'C: NOOP\nS: +OK\n'.repeat(10)}`,
  },
  'ends at a line that is too long': {
    imap: `C: ${'x'.repeat(200)}`,
    pop3: `C: ${'x'.repeat(200)}`,
    facts: { maxLineBytes: 128 },
    ending: 'client-line-too-long',
  },
  'ends at a line that is too long before it has come to its end': {
    imap: `C> ${'x'.repeat(129)}`,
    pop3: `C> ${'x'.repeat(129)}`,
    facts: { maxLineBytes: 128 },
    ending: 'client-line-too-long',
  },
  'reads a line of the greatest length': {
    imap: `
      C: a ${'x'.repeat(125)}
      S: a BAD Not a command before login`,
    pop3: `
      C: NOOP ${'x'.repeat(122)}
      S: +OK`,
    facts: { maxLineBytes: 128 },
  },
  // claws-mail never asks again after a connection was closed on a wrong password
  'lets the client try again, as another user too': {
    imap: `
      C: a LOGIN bob wrong
      S: a NO [AUTHENTICATIONFAILED] Authentication failed.
      C: b AUTHENTICATE PLAIN ${base64('\0bob\0wrong')}
      S: b NO [AUTHENTICATIONFAILED] Authentication failed.
      C: c AUTHENTICATE PLAIN ${PLAIN}
      C: d SELECT INBOX
      S: c OK Logged in`,
    pop3: `
      C: USER bob
      S: +OK Send PASS.
      C: PASS wrong
      S: -ERR [AUTH] Authentication failed.
      C: AUTH PLAIN ${base64('\0bob\0wrong')}
      S: -ERR [AUTH] Authentication failed.
      C: AUTH PLAIN ${PLAIN}
      C: d SELECT INBOX
      S: +OK Logged in`,
    answers: [{ reason: 'authentication-failed' }, { reason: 'authentication-failed' }, accepted()],
    attempts: [
      { ...alice('LOGIN'), user: 'bob', authcid: 'bob', password: 'wrong' },
      { ...alice('PLAIN'), user: 'bob', authcid: 'bob', password: 'wrong' },
      alice('PLAIN'),
    ],
    ending: 'accepted',
    unread: 'd SELECT INBOX\r\n',
  },
  'refuses passwords in clear': {
    imap: `
      C: a LOGIN alice secret
      S: /^\\* BAD \\[ALERT\\] /
      S: a NO [PRIVACYREQUIRED] Passwords are accepted over TLS only.
      C: b AUTHENTICATE PLAIN ${PLAIN}
      S: /^\\* BAD \\[ALERT\\] /
      S: b NO [PRIVACYREQUIRED] Passwords are accepted over TLS only.`,
    pop3: `
      C: USER alice
      S: -ERR [AUTH] Passwords are accepted over TLS only.
      C: PASS secret
      S: -ERR [AUTH] Passwords are accepted over TLS only.
      C: AUTH PLAIN ${PLAIN}
      S: -ERR [AUTH] Passwords are accepted over TLS only.`,
    secure: false,
    facts: { startTlsOffered: true },
  },
  'takes passwords in clear where the operator allows it': {
    imap: `
      C: a LOGIN alice secret
      S: a NO [AUTHENTICATIONFAILED] Authentication failed.`,
    pop3: `
      C: USER alice
      S: +OK Send PASS.
      C: PASS secret
      S: -ERR [AUTH] Authentication failed.`,
    attempts: [alice('LOGIN')],
    secure: false,
    facts: { startTlsOffered: true, allowPlaintextAuth: true },
  },
  'takes passwords after TLS has been started': {
    imap: `
      C: a STARTTLS
      S: a OK Begin TLS negotiation now.
      = TLS
      C: b LOGIN alice secret
      S: b NO [AUTHENTICATIONFAILED] Authentication failed.`,
    pop3: `
      C: STLS
      S: +OK Begin TLS negotiation now.
      = TLS
      C: USER alice
      S: +OK Send PASS.
      C: PASS secret
      S: -ERR [AUTH] Authentication failed.`,
    attempts: [alice('LOGIN')],
    secure: false,
    facts: { startTlsOffered: true },
  },
  // CVE-2011-0411
  'ends when commands follow STARTTLS in clear, and answers none of them': {
    imap: `
      C: a STARTTLS
      C: b LOGIN mallory secret
      S: a OK Begin TLS negotiation now.`,
    pop3: `
      C: STLS
      C: USER mallory
      S: +OK Begin TLS negotiation now.`,
    secure: false,
    facts: { startTlsOffered: true },
    ending: ['client-bytes-before-tls', 'client-tls-failed'],
  },
  'ends when the client goes before the handshake': {
    imap: `
      C: a STARTTLS
      S: a OK Begin TLS negotiation now.
      = end`,
    pop3: `
      C: STLS
      S: +OK Begin TLS negotiation now.
      = end`,
    secure: false,
    facts: { startTlsOffered: true },
    ending: 'client-tls-failed',
  },
  // whatever is said to a browser could be made to look like an answer to it
  'says nothing to an HTTP request': {
    imap: `
      C: POST / HTTP/1.1
      C: Host: mail.example.test
      C:
      C: a LOGIN alice secret`,
    pop3: `
      C: POST / HTTP/1.1
      C: Host: mail.example.test
      C:
      C: USER alice`,
    ending: 'client-http',
  },
  'takes nobody for a browser who only uses such a word': {
    imap: `
      C: POST NOOP
      S: POST OK NOOP completed.
      C: a NOOP HTTP/1.1
      S: a OK NOOP completed.`,
    pop3: `
      C: USER HTTP/1.1
      S: +OK Send PASS.
      C: NOOP HTTP/1.1
      S: +OK`,
  },
  'says goodbye when the client does': {
    imap: `
      C: a LOGOUT
      S: /^\\* BYE /
      S: a OK LOGOUT completed.`,
    pop3: `
      C: QUIT
      S: +OK Logging out.`,
    ending: 'logout',
  },
}

/** PLAIN messages that must not be tried anywhere; the answer is the same for all. */
const BAD_MESSAGES: Record<string, string> = {
  'no base64': 'alice:secret',
  'base64 without its padding': base64('\0alice\0secret1').replaceAll('=', ''),
  'base64 with a space at the end': `${PLAIN}\x20`,
  'base64 with a tab in it': PLAIN.replace('A', '\t'),
  'base64 in the URL alphabet': base64('\0alice\0\xff\xff\xff\xff').replaceAll('/', '_'),
  'padding in the middle': 'AGFsaWNl=AHNlY3JldA==',
  'an empty line': '',
  'two parts': base64('alice\0secret'),
  'four parts': base64('\0alice\0secret\0'),
  // CVE-2022-27924, nginx PR #1620
  'a CR LF in the password': base64('\0alice\0secret\r\nDELE 1'),
  'a LF in the user name': base64('\0ali\nce\0secret'),
  'a CR in the authzid': base64('ali\rce\0alice\0secret'),
  'a DEL in the password': base64('\0alice\0sec\x7fret'),
}

for (const name of ['imap', 'pop3'] as const) {
  for (const [promise, { imap, pop3, ...rest }] of Object.entries(PROMISES)) {
    // a login by plain commands is LOGIN in one table and USER in the other
    const attempts = rest.attempts?.map((one) =>
      one.mechanism === 'LOGIN' ? { ...one, mechanism: LOGIN[name].mechanism } : one,
    )
    testClient(`${name} ${promise}`, protocols[name], {
      ...rest,
      ...(attempts && { attempts }),
      script: { imap, pop3 }[name],
    })
  }

  for (const [what, message] of Object.entries(BAD_MESSAGES)) {
    testClient(`${name} refuses PLAIN with ${what}, and goes on`, protocols[name], {
      script: {
        imap: `
          C: a AUTHENTICATE PLAIN
          S: +\x20
          C: ${message}
          S: a BAD Invalid SASL response
          C: b AUTHENTICATE PLAIN ${PLAIN}
          S: b NO [AUTHENTICATIONFAILED] Authentication failed.`,
        pop3: `
          C: AUTH PLAIN
          S: +\x20
          C: ${message}
          S: -ERR Invalid SASL response
          C: AUTH PLAIN ${PLAIN}
          S: -ERR [AUTH] Authentication failed.`,
      }[name],
      attempts: [alice('PLAIN')],
    })
  }
}

/** Each refusal and what a client reads; RFC 5530 for IMAP, RFC 2449 and RFC 3206 for POP3. */
const REFUSALS: Record<string, { refusal: Refusal; imap: string; pop3: string }> = {
  'a wrong password': {
    refusal: { reason: 'authentication-failed' },
    imap: 'NO [AUTHENTICATIONFAILED] Authentication failed.',
    pop3: '-ERR [AUTH] Authentication failed.',
  },
  'an authzid that is not allowed': {
    refusal: { reason: 'authorization-failed' },
    imap: 'NO [AUTHORIZATIONFAILED] Not allowed to log in as that user.',
    pop3: '-ERR [AUTH] Not allowed to log in as that user.',
  },
  'a disabled account': {
    refusal: { reason: 'disabled' },
    imap: 'NO [CONTACTADMIN] This account is disabled.',
    pop3: '-ERR [AUTH] This account is disabled.',
  },
  'a back end or a directory that is away': {
    refusal: { reason: 'unavailable' },
    imap: 'NO [UNAVAILABLE] Account is temporarily unavailable.',
    pop3: '-ERR [SYS/TEMP] Account is temporarily unavailable.',
  },
  'a back end that is set up wrongly': {
    refusal: { reason: 'misconfigured' },
    imap: 'NO [SERVERBUG] Account is temporarily unavailable.',
    pop3: '-ERR [SYS/PERM] Account is unavailable.',
  },
  'a limit, in the words of the back end': {
    refusal: { reason: 'passed-on', code: 'LIMIT', text: 'Too many simultaneous connections' },
    imap: 'NO [LIMIT] Too many simultaneous connections',
    pop3: '-ERR [LIMIT] Too many simultaneous connections',
  },
}

for (const [what, { refusal, imap, pop3 }] of Object.entries(REFUSALS)) {
  testClient(`imap reports ${what}, and goes on`, protocols.imap, {
    script: `
      C: a LOGIN alice secret
      S: a ${imap}
      C: b NOOP
      S: b OK NOOP completed.`,
    answers: [refusal],
    attempts: [LOGIN.imap],
  })
  testClient(`pop3 reports ${what}, and goes on`, protocols.pop3, {
    script: `
      C: USER alice
      C: PASS secret
      S: +OK Send PASS.
      S: ${pop3}
      C: NOOP
      S: +OK`,
    answers: [refusal],
    attempts: [LOGIN.pop3],
  })
}
