/** The replies and log lines of short dialogues before login: the lines between commands, and why a connection ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError, type ErrorCode } from '../../../src/errors.ts'
import { ImapWatch } from '../../../src/protocol/imap/watch.ts'
import { protocols } from '../../../src/protocol/protocols.ts'
import type { ClientDialogue, DialogueFacts } from '../../../src/protocol/protocol.ts'
import type { ProtocolName } from '../../../src/protocol/registry.ts'
import { LinesWire } from '../../support/lines-wire.ts'

const FACTS: DialogueFacts = {
  banner: 'the banner',
  product: 'mailmux',
  startTlsOffered: false,
  allowPlaintextAuth: true,
  mechanisms: ['PLAIN'],
  announced: [],
  maxLineBytes: 100,
  maxBadCommands: 2,
  maxWrongPasswords: 1,
}

function open(
  name: ProtocolName,
  lines: readonly string[],
  facts: Partial<DialogueFacts> = {},
): { dialogue: ClientDialogue; wire: LinesWire } {
  const wire = new LinesWire(lines)
  return { dialogue: protocols[name].openDialogue(wire, { ...FACTS, ...facts }), wire }
}

const ACCEPTANCE = { untagged: [], capability: undefined, code: undefined, text: 'in', watch: new ImapWatch() }

for (const [name, greeting, waiting, goodbye, answer] of [
  [
    'imap',
    '* OK [CAPABILITY IMAP4rev1 SASL-IR ID ENABLE AUTH=PLAIN] the banner\r\n',
    ['* OK Still connecting to your mail store.\r\n'],
    '* BYE Idle for too long.\r\n',
    'a OK in\r\n',
  ],
  ['pop3', '+OK the banner\r\n', [], '-ERR Idle for too long.\r\n', '+OK in\r\n'],
  [
    'managesieve',
    '"IMPLEMENTATION" "mailmux"\r\n"SIEVE" "fileinto"\r\n"SASL" "PLAIN"\r\n"X-PROXY-TTL"\r\n"VERSION" "1.0"\r\nOK "the banner"\r\n',
    [],
    'BYE "Idle for too long."\r\n',
    'OK "in"\r\n',
  ],
] as const)
  test(`${name}: greets, says that it still tries where the protocol has a line for that, accepts, and says goodbye`, async () => {
    const login = {
      imap: 'a AUTHENTICATE PLAIN AGEAYg==',
      pop3: 'AUTH PLAIN AGEAYg==',
      managesieve: 'AUTHENTICATE "PLAIN" "AGEAYg=="',
    }
    const { dialogue, wire } = open(name, [login[name]])
    dialogue.greet()
    await dialogue.awaitLogin()
    dialogue.stillTrying()
    dialogue.accept(ACCEPTANCE)
    dialogue.goodbye('idle')
    assert.deepEqual(wire.written, [greeting, ...waiting, answer, goodbye])
  })

const ENDS: [name: ProtocolName, says: readonly string[], code: ErrorCode, message: string][] = [
  ['imap', ['GET / HTTP/1.1'], 'client-http', 'an HTTP request'],
  ['pop3', ['GET / HTTP/1.1'], 'client-http', 'an HTTP request'],
  ['managesieve', ['GET / HTTP/1.1'], 'client-http', 'an HTTP request'],
  ['imap', ['a X', 'b X'], 'client-too-many-bad-commands', '2 invalid commands before login'],
  ['pop3', ['X', 'X'], 'client-too-many-bad-commands', '2 invalid commands before login'],
  ['managesieve', ['X', '('], 'client-too-many-bad-commands', '2 invalid commands before login'],
  ['imap', ['a LOGIN {4097+}'], 'client-literal-too-large', 'a literal of 4097 bytes before login'],
  ['managesieve', ['X {65537+}'], 'client-literal-too-large', 'a literal of 65537 bytes before login'],
  [
    'managesieve',
    ['AUTHENTICATE PLAIN', '{65537+}'],
    'client-literal-too-large',
    'a literal of 65537 bytes before login',
  ],
  ['imap', ['a LOGIN a ""'], 'client-too-many-wrong-passwords', '1 refused logins on one connection'],
  ['pop3', ['USER a', 'PASS '], 'client-too-many-wrong-passwords', '1 refused logins on one connection'],
  ['managesieve', ['AUTHENTICATE PLAIN AGEA'], 'client-too-many-wrong-passwords', '1 refused logins on one connection'],
]

for (const [name, says, code, message] of ENDS)
  test(`${name}: ends with ${code} at ${JSON.stringify(says)}`, async () => {
    await assert.rejects(open(name, says).dialogue.awaitLogin(), new MuxError(code, message))
  })

/** The answers to commands that are refused or have no effect, and to those that begin or end something. */
const ANSWERS: [name: ProtocolName, says: readonly string[], answers: readonly string[]][] = [
  ['imap', ['a LOGIN b'], ['a BAD LOGIN takes a user name and a password']],
  ['imap', ['a LOGIN b c d'], ['a BAD LOGIN takes a user name and a password']],
  ['imap', ['a LOGIN "b'], ['a BAD LOGIN takes a user name and a password']],
  ['imap', ['a LOGIN {1+}', '\n "c"'], ['a BAD Invalid characters in credentials']],
  ['imap', ['a LOGIN "b" {1+}', '\0'], ['a BAD Invalid characters in credentials']],
  ['imap', ['a LOGIN {4097}'], ['a BAD Literal too large']],
  ['imap', ['a NOOP {3}'], ['a BAD Not a command before login']],
  ['imap', ['a AUTHENTICATE'], ['a BAD AUTHENTICATE takes a mechanism and at most an initial response']],
  ['imap', ['a AUTHENTICATE  '], ['a BAD AUTHENTICATE takes a mechanism and at most an initial response']],
  ['imap', ['a AUTHENTICATE PLAIN a b'], ['a BAD AUTHENTICATE takes a mechanism and at most an initial response']],
  ['imap', ['a AUTHENTICATE PLAIN {0+}', ''], ['a BAD AUTHENTICATE takes a mechanism and at most an initial response']],
  ['imap', ['a AUTHENTICATE X'], ['a NO [CANNOT] Unsupported authentication mechanism.']],
  ['imap', ['a AUTHENTICATE PLAIN !'], ['a BAD Invalid SASL response']],
  ['imap', ['a ID'], ['* ID ("name" "mailmux")', 'a OK ID completed.']],
  ['imap', ['a ID x'], ['a NO ID takes NIL or a list of pairs']],
  ['imap', ['a ENABLE X'], ['* ENABLED', 'a OK Nothing is enabled before login.']],
  ['imap', ['a STARTTLS'], ['a BAD STARTTLS is not available']],
  ['imap', ['a NOOP'], ['a OK NOOP completed.']],
  ['imap', ['a LOGOUT'], ['* BYE Logging out', 'a OK LOGOUT completed.']],
  ['imap', ['LOGIN b c'], ['LOGIN BAD A command begins with a tag: try "a LOGIN user password"']],
  ['imap', ['login b c'], ['login BAD A command begins with a tag: try "a LOGIN user password"']],
  ['imap', ['(a NOOP'], ['* BAD Invalid tag']],
  ['imap', [''], ['* BAD Invalid tag']],
  ['pop3', ['USER '], ['-ERR USER takes a user name']],
  ['pop3', ['USER a\tb'], ['-ERR USER takes a user name']],
  ['pop3', ['PASS x'], ['-ERR USER comes before PASS']],
  ['pop3', ['USER a', 'PASS \t'], ['+OK Send PASS.', '-ERR PASS takes a password']],
  ['pop3', ['AUTH'], ['+OK', 'PLAIN', '.']],
  ['pop3', ['AUTH X'], ['-ERR Unsupported authentication mechanism']],
  ['pop3', ['AUTH PLAIN a b'], ['-ERR Unsupported authentication mechanism']],
  ['pop3', ['AUTH PLAIN !'], ['-ERR Invalid SASL response']],
  ['pop3', ['UTF8'], ['-ERR UTF8 is not available']],
  ['pop3', ['X-PROXY-TTL'], ['-ERR X-PROXY-TTL takes a number']],
  ['pop3', ['X-PROXY-TTL 1000'], ['-ERR X-PROXY-TTL takes a number']],
  ['pop3', ['X-PROXY-TTL x1'], ['-ERR X-PROXY-TTL takes a number']],
  ['pop3', ['X-PROXY-TTL 999'], ['+OK']],
  ['pop3', ['STLS'], ['-ERR STLS is not available']],
  ['pop3', ['NOOP'], ['+OK']],
  ['pop3', ['QUIT'], ['+OK Logging out.']],
  ['pop3', ['STAT'], ['-ERR Not a command before login']],
  [
    'pop3',
    ['CAPA'],
    ['+OK Capability list follows', 'RESP-CODES', 'AUTH-RESP-CODE', 'X-PROXY-TTL', 'USER', 'SASL PLAIN', '.'],
  ],
  ['managesieve', ['"NOOP"'], ['NO "Not a command"']],
  ['managesieve', [''], ['NO "Not a command"']],
  ['managesieve', ['NOOP ('], ['NO "Not a command"']],
  ['managesieve', ['NOOP "'], ['NO "Not a command"']],
  ['managesieve', ['NOOP a b'], ['NO "NOOP takes at most a string"']],
  ['managesieve', ['NOOP'], ['OK "NOOP completed."']],
  ['managesieve', ['AUTHENTICATE'], ['NO "AUTHENTICATE takes a mechanism and at most an initial response"']],
  ['managesieve', ['AUTHENTICATE a b c'], ['NO "AUTHENTICATE takes a mechanism and at most an initial response"']],
  ['managesieve', ['AUTHENTICATE X'], ['NO "Unsupported authentication mechanism."']],
  ['managesieve', ['AUTHENTICATE PLAIN "!"'], ['NO "Invalid SASL response"']],
  ['managesieve', ['AUTHENTICATE PLAIN', 'AGEAYg== x'], ['""', 'NO "Invalid SASL response"']],
  ['managesieve', ['AUTHENTICATE PLAIN', '"'], ['""', 'NO "Invalid SASL response"']],
  ['managesieve', ['AUTHENTICATE PLAIN', ''], ['""', 'NO "Invalid SASL response"']],
  ['managesieve', ['X-PROXY-TTL'], ['NO "X-PROXY-TTL takes a number"']],
  ['managesieve', ['X-PROXY-TTL 1 2'], ['NO "X-PROXY-TTL takes a number"']],
  ['managesieve', ['X-PROXY-TTL 1000'], ['NO "X-PROXY-TTL takes a number"']],
  ['managesieve', ['X-PROXY-TTL x1'], ['NO "X-PROXY-TTL takes a number"']],
  ['managesieve', ['X-PROXY-TTL 999'], ['OK']],
  ['managesieve', ['STARTTLS'], ['NO "STARTTLS is not available"']],
  ['managesieve', ['LOGOUT'], ['OK "Logout completed."']],
  ['managesieve', ['STAT'], ['NO "Not a command before login"']],
]

for (const [name, says, answers] of ANSWERS)
  test(`${name}: answers ${JSON.stringify(says)}`, async () => {
    const { dialogue, wire } = open(name, says)
    const ending = await dialogue.awaitLogin().catch((error: unknown) => error)
    assert.equal(wire.written.join(''), answers.map((line) => `${line}\r\n`).join(''))
    assert.equal(ending === 'logout', /^(?:a LOGOUT|QUIT|LOGOUT)$/.test(says[0] ?? ''))
  })

const LOGIN_ONLY = { mechanisms: ['LOGIN'] as const }

test('a password in a command is refused where PLAIN is not offered', async () => {
  for (const [name, says, answer] of [
    ['imap', ['a LOGIN b c'], 'a NO [CANNOT] LOGIN is disabled.\r\n'],
    ['pop3', ['USER b'], '-ERR USER is disabled\r\n'],
  ] as const) {
    const { dialogue, wire } = open(name, says, LOGIN_ONLY)
    await assert.rejects(dialogue.awaitLogin())
    assert.deepEqual(wire.written, [answer])
  }
})

test('a password without encryption is refused, and an IMAP client gets an alert if it has sent one', async () => {
  const clear = { allowPlaintextAuth: false }
  const alert = '* BAD [ALERT] Your client sent a password without encryption; it may have been read on the way.\r\n'
  const refused = 'a NO [PRIVACYREQUIRED] Passwords are accepted over TLS only.\r\n'
  for (const [name, says, answers] of [
    ['imap', 'a LOGIN b c', [alert, refused]],
    ['imap', 'a AUTHENTICATE PLAIN x', [alert, refused]],
    ['imap', 'a AUTHENTICATE PLAIN', [refused]],
    ['pop3', 'PASS x', ['-ERR [AUTH] Passwords are accepted over TLS only.\r\n']],
    ['managesieve', 'AUTHENTICATE PLAIN x', ['NO (ENCRYPT-NEEDED) "Passwords are accepted over TLS only."\r\n']],
  ] as const) {
    const { dialogue, wire } = open(name, [says], clear)
    await assert.rejects(dialogue.awaitLogin())
    assert.deepEqual(wire.written, answers)
  }
})

/** Lines that may be as long as a token, and lines that may not. */
const LONG_LINES: Record<ProtocolName, { long: readonly string[]; short: readonly string[] }> = {
  imap: {
    long: ['a AUTHENTICATE PLAIN', 'a  authenticate x', `${'t'.repeat(64)} AUTHENTICATE x`, 'a ID (', 'a id '],
    short: [
      'a LOGIN x',
      'a NOOP AUTHENTICATE x',
      `${'t'.repeat(65)} AUTHENTICATE x`,
      ' AUTHENTICATE x',
      'a XID (',
      'a IDX ',
    ],
  },
  pop3: { long: ['AUTH PLAIN', 'auth '], short: ['AUTH', 'NOOP AUTH x', 'XAUTH x', 'AUTHX x'] },
  managesieve: {
    long: ['AUTHENTICATE "PLAIN"', 'authenticate '],
    short: ['AUTHENTICATE', 'NOOP AUTHENTICATE x', 'XAUTHENTICATE x', 'AUTHENTICATEX '],
  },
}

for (const [name, { long, short }] of Object.entries(LONG_LINES) as [ProtocolName, (typeof LONG_LINES)['pop3']][])
  test(`${name}: a line may be as long as a token where one may stand in it`, async () => {
    const { dialogue, wire } = open(name, [])
    await assert.rejects(dialogue.awaitLogin())
    const [limit] = wire.limits
    assert.ok(typeof limit === 'object')
    assert.deepEqual([limit.bytes, limit.token.bytes], [100, 65_536])
    for (const line of long) assert.match(line, limit.token.start)
    for (const line of short) assert.doesNotMatch(line, limit.token.start)
  })
