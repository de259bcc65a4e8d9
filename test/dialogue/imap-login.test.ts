import { imap } from '../../src/protocol/imap/imap.ts'
import { accepted, alice, testClient, type Attempt } from './play.ts'

const NO = 'NO [AUTHENTICATIONFAILED] Authentication failed.'
const BAD_ARGUMENTS = 'BAD LOGIN takes a user name and a password'
const BAD_CHARACTERS = 'BAD Invalid characters in credentials'

/** What each LOGIN hands out; the line of the command comes first. */
const TAKEN: Record<string, { lines: string; changes?: Partial<Attempt> }> = {
  'two atoms': { lines: 'C: a LOGIN alice secret' },
  'quoted strings': { lines: 'C: a LOGIN "alice" "secret"' },
  'an atom and a quoted string with spaces': {
    lines: 'C: a LOGIN alice "pass word "',
    changes: { password: 'pass word ' },
  },
  'quoted strings with \\" and \\\\': {
    lines: 'C: a LOGIN "alice" "\\"a\\\\b\\""',
    changes: { password: '"a\\b"' },
  },
  'a name and a password with every atom character that is not a letter': {
    lines: "C: a LOGIN alice !#$&'+,-./:;<=>?@[]^_`|}~",
    changes: { password: "!#$&'+,-./:;<=>?@[]^_`|}~" },
  },
  'octets beyond ASCII in an atom': { lines: 'C: a LOGIN alice p\xe4\xff', changes: { password: 'p\xe4\xff' } },
  'synchronising literals': {
    lines: `C: a LOGIN {5}
      S: + OK
      C: alice {6}
      S: + OK
      C: secret`,
  },
  // RFC 7888
  'non-synchronising literals': {
    lines: `C: a LOGIN {5+}
      C: alice {6+}
      C: secret`,
  },
  'a quoted string and then a literal': {
    lines: `C: a LOGIN "alice" {6+}
      C: secret`,
  },
  'a literal and then a quoted string': {
    lines: `C: a LOGIN {5}
      S: + OK
      C: alice "sec ret"`,
    changes: { password: 'sec ret' },
  },
  // nginx 82840d165: a backslash is an escape inside quotes alone
  'a literal in which backslashes and quotes stay as they are': {
    lines: `C: a LOGIN alice {8+}
      C: \\"a\\\\b"{`,
    changes: { password: '\\"a\\\\b"{' },
  },
  'a literal that looks like a literal marker': {
    lines: `C: a LOGIN alice {4+}
      C: {3+}`,
    changes: { password: '{3+}' },
  },
  'a literal of the greatest length': {
    lines: `C: a LOGIN alice {4096+}
      C: ${'x'.repeat(4096)}`,
    changes: { password: 'x'.repeat(4096) },
  },
}

for (const [what, { lines, changes }] of Object.entries(TAKEN)) {
  testClient(`LOGIN takes ${what}`, imap, {
    script: `
      ${lines}
      S: a ${NO}`,
    attempts: [alice('LOGIN', changes)],
  })
}

/** What LOGIN answers to what it refuses; a NOOP that follows shows that both sides still agree where a command begins. */
const REFUSED: Record<string, { lines: string; answer: string }> = {
  'no arguments': { lines: 'C: a LOGIN', answer: BAD_ARGUMENTS },
  'one argument': { lines: 'C: a LOGIN alice', answer: BAD_ARGUMENTS },
  'three arguments': { lines: 'C: a LOGIN alice secret more', answer: BAD_ARGUMENTS },
  'an open quote': { lines: 'C: a LOGIN alice "secret', answer: BAD_ARGUMENTS },
  'a quote that ends in a backslash': { lines: 'C: a LOGIN alice "secret\\"', answer: BAD_ARGUMENTS },
  'strings without a space between them': { lines: 'C: a LOGIN "alice""secret"', answer: BAD_ARGUMENTS },
  'an atom with a parenthesis': { lines: 'C: a LOGIN alice (secret)', answer: BAD_ARGUMENTS },
  'a NUL in a quoted string': { lines: 'C: a LOGIN alice "sec\0ret"', answer: BAD_ARGUMENTS },
  'a TAB in a quoted string': { lines: 'C: a LOGIN alice "sec\tret"', answer: BAD_CHARACTERS },
  'CR and LF in a literal': {
    lines: `C: a LOGIN alice {15+}
      C: x
      C: b LOGOUT
      C: z`,
    answer: BAD_CHARACTERS,
  },
  'a NUL in a literal': {
    lines: `C: a LOGIN alice {3+}
      C: a\0b`,
    answer: BAD_CHARACTERS,
  },
  // nginx aa65a60fc: after a literal only a space or the end of the line
  'something right after a literal': {
    lines: `C: a LOGIN {5+}
      C: aliceX secret`,
    answer: BAD_ARGUMENTS,
  },
  'a quote right after a literal': {
    lines: `C: a LOGIN {5+}
      C: alice"secret"`,
    answer: BAD_ARGUMENTS,
  },
  'something after the last literal': {
    lines: `C: a LOGIN alice {6+}
      C: secretX`,
    answer: BAD_ARGUMENTS,
  },
  'a literal right after an atom': {
    lines: `C: a LOGIN alice{6+}
      C: secret`,
    answer: BAD_ARGUMENTS,
  },
  'two literals without a space between them': {
    lines: `C: a LOGIN {5+}
      C: alice{6+}
      C: secret`,
    answer: BAD_ARGUMENTS,
  },
}

for (const [what, { lines, answer }] of Object.entries(REFUSED)) {
  testClient(`LOGIN refuses ${what}`, imap, {
    script: `
      ${lines}
      S: a ${answer}
      C: n NOOP
      S: n OK NOOP completed.`,
  })
}

testClient('goes on after a synchronising literal that is too large, whose octets never come', imap, {
  script: `
    C: a LOGIN alice {4097}
    S: a BAD Literal too large
    C: b LOGIN alice secret
    S: b ${NO}`,
  attempts: [alice('LOGIN')],
})

// RFC 7888 4: its octets are on their way, and reading them as commands would be smuggling
testClient('ends at a non-synchronising literal that is too large', imap, {
  script: `
    C: a LOGIN alice {4097+}
    C: b LOGIN mallory secret`,
  ending: 'client-literal-too-large',
})

testClient('ends when the literals of one command are too many', imap, {
  script: `
    C: a ID ({4096+}
    ${`C: ${'x'.repeat(4096)} {4096+}\n`.repeat(15)}`,
  ending: 'client-literal-too-large',
})

testClient('asks for no literal of a command that takes none', imap, {
  script: `
    C: a NOOP {3}
    S: a BAD Not a command before login
    C: b SELECT {5}
    S: b BAD Not a command before login
    C: c LOGIN alice secret
    S: c ${NO}`,
  attempts: [alice('LOGIN')],
})

for (const command of ['a SELECT', 'a NOOP', 'a AUTHENTICATE PLAIN', '+ LOGIN', 'a UNKNOWN', 'a'])
  testClient(`never reads the octets of a literal as a command: ${command}`, imap, {
    script: `
      C: ${command} {27+}
      C: b LOGIN mallory secret
      C: xyz
      C: c LOGIN alice secret
      S: /^(a|\\*) (OK|BAD) /
      S: c ${NO}`,
    attempts: [alice('LOGIN')],
  })

testClient('reads nothing that was pipelined behind an accepted login', imap, {
  script: `
    C: a LOGIN alice secret
    C: b SELECT INBOX
    C: c FETCH 1 BODY[]
    S: a OK Logged in`,
  answers: [accepted()],
  attempts: [alice('LOGIN')],
  ending: 'accepted',
  unread: 'b SELECT INBOX\r\nc FETCH 1 BODY[]\r\n',
})

testClient('reads nothing that was pipelined behind a login in literals', imap, {
  script: `
    C: a LOGIN {5+}
    C: alice {6+}
    C: secret
    C: b APPEND INBOX {3+}
    C: abc
    S: a OK Logged in`,
  answers: [accepted()],
  attempts: [alice('LOGIN')],
  ending: 'accepted',
  unread: 'b APPEND INBOX {3+}\r\nabc\r\n',
})
