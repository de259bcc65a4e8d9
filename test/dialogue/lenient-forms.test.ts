/** Forms that mail clients send and the grammar lacks: Dovecot takes them, and a client behind mailmux finds no difference. */
import { protocols, testEveryClient, testClient, alice, base64, type Attempt } from './play.ts'

const { imap, pop3 } = protocols
const PLAIN = base64('\0alice\0secret')
const WRONG = 'a NO [AUTHENTICATIONFAILED] Authentication failed.'

/** The arguments of LOGIN, and the user and the password in them. */
const LOGINS: Record<string, [string, Partial<Attempt>?]> = {
  'a percent sign in the user': ['al%ice secret', { user: 'al%ice', authcid: 'al%ice' }],
  'a name with the domain behind a percent sign': [
    'alice%example.test "secret"',
    { user: 'alice%example.test', authcid: 'alice%example.test' },
  ],
  'a percent sign in the password': ['alice se%cret', { password: 'se%cret' }],
  'an asterisk in the password': ['alice se*cret', { password: 'se*cret' }],
  'wildcards alone': ['alice *%*', { password: '*%*' }],
  'a backslash in an atom': [
    'EXAMPLE\\alice sec\\ret',
    { user: 'EXAMPLE\\alice', authcid: 'EXAMPLE\\alice', password: 'sec\\ret' },
  ],
  'octets beyond ASCII in an atom': ['alice g\xc3\xa4', { password: 'g\xc3\xa4' }],
  'a space at the end': ['alice secret '],
  'two spaces': ['alice  secret'],
  'spaces everywhere': ['  alice   "secret"  '],
  'an escape that needs none': ['alice "\\s\\ecret"'],
  'escapes of quotes and backslashes': ['alice "\\"\\\\"', { password: '"\\' }],
}

for (const [what, [args, wanted]] of Object.entries(LOGINS))
  testClient(`takes LOGIN with ${what}`, imap, {
    script: `
      C: a LOGIN ${args}
      S: ${WRONG}`,
    attempts: [alice('LOGIN', wanted)],
  })

testClient('takes LOGIN with spaces around a literal', imap, {
  script: `
    C: a  LOGIN  {5+}
    C: alice  {6+}
    C: secret\x20
    S: ${WRONG}`,
  attempts: [alice('LOGIN')],
})

for (const args of ['alice (secret', 'alice sec"ret', 'alice{5+}', 'alice "sec"ret'])
  testClient(`refuses LOGIN ${args}`, imap, {
    script: `
      C: a LOGIN ${args}
      S: a BAD LOGIN takes a user name and a password`.replace(/\{5\+\}/, '{5+}\n      C> hello\n      C:'),
  })

for (const command of ['AUTHENTICATE  PLAIN ', ' AUTHENTICATE PLAIN  ', 'AUTHENTICATE PLAIN   '])
  testClient(`takes a${command}with more spaces than the grammar has`, imap, {
    script: `
      C: a ${command}${PLAIN}
      S: ${WRONG}
      C: a ${command}${PLAIN}\x20
      S: ${WRONG}
      C: a ${command}\x20
      S: +\x20
      C: ${PLAIN}
      S: ${WRONG}`,
    attempts: [alice('PLAIN'), alice('PLAIN'), alice('PLAIN')],
  })

for (const command of ['AUTH  PLAIN ', 'AUTH PLAIN  '])
  testClient(`takes ${command}with more spaces than the grammar has`, pop3, {
    script: `
      C: ${command}${PLAIN}
      S: -ERR [AUTH] Authentication failed.
      C: ${command}${PLAIN}\x20
      S: -ERR [AUTH] Authentication failed.
      C: ${command}\x20
      S: +\x20
      C: ${PLAIN}
      S: -ERR [AUTH] Authentication failed.`,
    attempts: [alice('PLAIN'), alice('PLAIN'), alice('PLAIN')],
  })

testClient('lists the mechanisms for AUTH and spaces', pop3, { script: 'C: AUTH \x20\nS: +OK\nS: PLAIN\nS: .' })

testClient('gives a token its room behind any number of spaces', imap, {
  facts: { maxLineBytes: 64 },
  script: `
    C: a  AUTHENTICATE   PLAIN   ${PLAIN}${'A'.repeat(100)}
    S: a BAD Invalid SASL response`,
})
testClient('gives a token its room behind any number of spaces', pop3, {
  facts: { maxLineBytes: 64 },
  script: `
    C: AUTH   PLAIN   ${PLAIN}${'A'.repeat(100)}
    S: -ERR Invalid SASL response`,
})

// Whoever sends nothing is not let in, and has not sent a bad command: four of them, and three are allowed.
testClient('answers an empty name or password as a wrong one', imap, {
  facts: { maxWrongPasswords: 9 },
  script: ['LOGIN alice ""', 'LOGIN "" secret', 'LOGIN "" ""', 'LOGIN alice {0+}\n      C:']
    .map(
      (command) => `
      C: a ${command}
      S: ${WRONG}`,
    )
    .join(''),
})
testClient('answers an empty name or password as a wrong one', pop3, {
  facts: { maxWrongPasswords: 9 },
  script: ['PASS', 'PASS\x20', 'PASS', 'PASS']
    .map(
      (command) => `
      C: USER alice
      S: +OK Send PASS.
      C: ${command}
      S: -ERR [AUTH] Authentication failed.`,
    )
    .join(''),
})
testClient('counts no USER without a name as a bad command', pop3, {
  script: ['USER', 'USER\x20', 'USER', 'USER']
    .map(
      (command) => `
      C: ${command}
      S: -ERR USER takes a user name`,
    )
    .join(''),
})

const EMPTY: Record<string, string> = {
  'PLAIN, no password': `PLAIN ${base64('\0alice\0')}`,
  'PLAIN, no name': `PLAIN ${base64('\0\0secret')}`,
  'PLAIN, nothing': `PLAIN ${base64('\0\0')}`,
  'PLAIN, a name to act for alone': `PLAIN ${base64('alice\0\0')}`,
  'XOAUTH2, no name': `XOAUTH2 ${base64('user=\x01auth=Bearer t\x01\x01')}`,
  'SCRAM, no name': `SCRAM-SHA-256 ${base64('n,,n=,r=nonce')}`,
  'SCRAM, no name but one to act for': `SCRAM-SHA-256 ${base64('n,a=alice,n=,r=nonce')}`,
  'OAUTHBEARER, no name': `OAUTHBEARER ${base64('n,a=,\x01auth=Bearer t\x01\x01')}`,
}
testEveryClient('answers an empty name or password of a mechanism as a wrong one', {
  facts: { mechanisms: ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER', 'SCRAM-SHA-256'], maxWrongPasswords: 99 },
  script: [
    ...Object.values(EMPTY).map(
      (command) => `
      C: %AUTH ${command}
      S: %WRONG`,
    ),
    ...[
      [base64('alice'), ''],
      ['', base64('secret')],
    ].map(
      ([user = '', password = '']) => `
      C: %AUTH LOGIN
      S: + VXNlcm5hbWU6
      C: ${user}
      S: + UGFzc3dvcmQ6
      C: ${password}
      S: %WRONG`,
    ),
  ].join(''),
})

testEveryClient('ends a connection with too many empty passwords as one with wrong ones', {
  facts: { maxWrongPasswords: 2 },
  script: `
    C: %AUTH PLAIN ${base64('\0alice\0')}
    S: %WRONG
    C: %AUTH PLAIN ${base64('\0alice\0')}
    S: %WRONG`,
  ending: 'client-too-many-wrong-passwords',
})

for (const args of ['', ' ', ' NIL', ' nil ', ' ()', ' ( )', '  ("name"  "x")', ' ("name" "\\x")'])
  testClient(`answers ID${args} with OK`, imap, {
    script: `
      C: a ID${args}
      S: * ID ("name" "mailmux")
      S: a OK ID completed.`,
  })

testClient('refuses an odd ID, and counts it as no bad command', imap, {
  script: ['("name")', '("name" "x"', '"name" "x"', '(NIL "x")', '("name" x)', '(name "x")', 'x', '("name" "x") more']
    .map(
      (args) => `
      C: a ID ${args}
      S: a NO ID takes NIL or a list of pairs`,
    )
    .join(''),
})
