/** UNAUTHENTICATE (RFC 8437) would let the next user in past routing: no server may read it where the guard has not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ImapGuard } from '../../../../src/protocol/imap/guard.ts'
import { GuardedSession, ImapServer, type ServerOptions } from '../../../support/guarded.ts'
import { testEveryCut, type Cut } from '../../../support/splits.ts'

type Played = { session: GuardedSession; commands: string[] }

/** Sends the client's octets to the server through the guard, both ways cut so. */
function play(cut: Cut, octets: string, options?: ServerOptions): Played {
  const session = new GuardedSession(new ImapGuard())
  const server = new ImapServer(options)
  const answer = (passed: string): void => {
    if (passed === '') return
    for (const piece of cut.split(server.take(passed))) answer(session.fromBackend(piece))
  }
  for (const piece of cut.split(octets)) answer(session.fromClient(piece))
  return { session, commands: server.commands }
}

const refusesLiterals: ServerOptions = { takesLiteral: () => false }
const SELECT = 'a SELECT INBOX\r\n'

const FORBIDDEN: Record<string, string> = {
  'the command': 'a UNAUTHENTICATE\r\n',
  'the command in lower case': 'a unauthenticate\r\n',
  'the command in mixed case': 'a UnAuthenticate\r\n',
  'the command with a bare LF': 'a UNAUTHENTICATE\n',
  'the command with more spaces than the grammar has': 'a   UNAUTHENTICATE  \r\n',
  'the command with an argument': 'a UNAUTHENTICATE now\r\n',
  'a long tag': `${'t'.repeat(130)} UNAUTHENTICATE\r\n`,
  'the longest tag': `${'t'.repeat(1000)} UNAUTHENTICATE\r\n`,
  'spaces beyond all measure': `a${' '.repeat(1000)}UNAUTHENTICATE\r\n`,
  'spaces beyond all measure behind it': `a UNAUTHENTICATE${' '.repeat(1000)}\r\n`,
  'the command after others': `${SELECT}b FETCH 1 BODY[]\r\nc IDLE\r\nDONE\r\nd UNAUTHENTICATE\r\n`,
  'the command after a very long line': `a FETCH ${'1,'.repeat(5000)}1 FLAGS\r\nb UNAUTHENTICATE\r\n`,
  'the command before others': `a UNAUTHENTICATE\r\nb LOGIN mallory secret\r\n`,
  'the command behind an empty line': '\r\na UNAUTHENTICATE\r\n',
  'the command after a synchronising literal': 'a APPEND INBOX {5}\r\nhello\r\nb UNAUTHENTICATE\r\n',
  'the command after a non-synchronising literal': 'a APPEND INBOX {5+}\r\nhello\r\nb UNAUTHENTICATE\r\n',
  'the command after two of them': 'a SEARCH TEXT {3+}\r\nabc SUBJECT {4+}\r\nd\r\ne\r\nb UNAUTHENTICATE\r\n',
  'the command after an empty one': 'a APPEND INBOX {0+}\r\n\r\nb UNAUTHENTICATE\r\n',
  'the command after a literal that ends within a line': 'a APPEND INBOX {5+}\r\nhello (x)\r\nb UNAUTHENTICATE\r\n',
  'the command after a literal at the end of a long line': `a SEARCH ${'OR '.repeat(400)}TEXT {5+}\r\nhello\r\nb UNAUTHENTICATE\r\n`,
  'the command after what only looks like a marker': 'a SEARCH TEXT "{30+}"\r\nb UNAUTHENTICATE\r\n',
  'the command after a marker that is none': 'a SEARCH TEXT {3x+}\r\nb UNAUTHENTICATE\r\n',
  'the command after a literal that reads like a command with one':
    'a SELECT {18}\r\nx APPEND y {53+}\r\n\r\nu UNAUTHENTICATE\r\nv LOGIN bob secret\r\n',
  'the command after a DONE that comes too late': 'DONE\r\na UNAUTHENTICATE\r\n',
  // RFC 4978: behind it nothing could be looked at
  COMPRESS: 'a COMPRESS DEFLATE\r\n',
  'COMPRESS in lower case': 'a compress deflate\r\n',
  STARTTLS: 'a STARTTLS\r\n',
  AUTHENTICATE: 'a AUTHENTICATE PLAIN\r\n',
  'the next login': 'a LOGIN mallory secret\r\n',
}

for (const [what, octets] of Object.entries(FORBIDDEN))
  testEveryCut(`stops ${what}`, (cut) => {
    const { session, commands } = play(cut, octets)
    assert.equal(session.ended, 'forbidden')
    assert.ok(!commands.some((command) => / (UNAUTHENTICATE|COMPRESS|STARTTLS|AUTHENTICATE|LOGIN)/i.test(command)))
  })

const REFUSED_LITERAL: Record<string, string> = {
  'a synchronising literal': 'a APPEND INBOX {30}\r\nb UNAUTHENTICATE\r\n',
  'a non-synchronising literal': 'a APPEND INBOX {5+}\r\nhello\r\nb UNAUTHENTICATE\r\n',
  'two of them': 'a APPEND INBOX {5+}\r\nhello {4+}\r\nmore\r\nb UNAUTHENTICATE\r\n',
  'one with the line end inside': 'a APPEND INBOX {5+}\r\nh\r\nlo\r\nb UNAUTHENTICATE\r\n',
  'one whose line ends in a bare LF': 'a APPEND INBOX {5+}\nhello\r\nb UNAUTHENTICATE\r\n',
}

for (const [what, octets] of Object.entries(REFUSED_LITERAL))
  testEveryCut(`stops the command behind ${what} that the back end has refused`, (cut) => {
    const { session, commands } = play(cut, octets, refusesLiterals)
    assert.equal(session.ended, 'forbidden')
    assert.equal(commands.length, 1)
  })

testEveryCut('sends nothing of a refused literal to the back end, and goes on behind the command', (cut) => {
  const octets = 'a APPEND INBOX {18+}\r\nb UNAUTHENTICATE\r\n (x) {4+}\r\nmore\r\nc NOOP\r\n'
  const { session, commands } = play(cut, octets, refusesLiterals)
  assert.equal(session.ended, undefined)
  assert.deepEqual(commands, ['a APPEND INBOX {18}', 'c NOOP'])
  assert.equal(session.toClient, 'a BAD done {7}\r\nc OK done {7}\r\n')
})

testEveryCut('goes on behind a synchronising literal in the rest of a refused command', (cut) => {
  const octets = 'a APPEND INBOX {5+}\r\nhello {4}\r\nc NOOP\r\n'
  const { session, commands } = play(cut, octets, refusesLiterals)
  assert.equal(session.ended, undefined)
  assert.deepEqual(commands, ['a APPEND INBOX {5}', 'c NOOP'])
})

const AMBIGUOUS: Record<string, string> = {
  'a tag that no server takes': '}*%(+ UNAUTHENTICATE\r\n',
  'a tag longer than servers take': `${'t'.repeat(1001)} NOOP\r\n`,
  // Stalwart passes over white space before a tag and around a command, line ends too (crates/imap-proto/src/receiver.rs).
  'a space before the tag': ' a UNAUTHENTICATE\r\n',
  'a TAB before the tag': '\ta UNAUTHENTICATE\r\n',
  'a TAB behind the name': 'a UNAUTHENTICATE\t\r\n',
  'a TAB before the name': 'a \tUNAUTHENTICATE\r\n',
  'a CR before the name': 'a \rUNAUTHENTICATE\r\n',
  'a name on the next line': 'a \r\nUNAUTHENTICATE\r\n',
  'a CR within the arguments': 'a NOOP\rb UNAUTHENTICATE\r\n',
  'a NUL within the arguments': 'a NOOP \0b UNAUTHENTICATE\r\n',
  'a line without a name': 'a \r\n',
  'a name longer than any command has': `a ${'X'.repeat(65)}`,
  'less than DONE in IDLE': 'a IDLE\r\nDO\r\n',
  'another letter in DONE, before the line has ended': 'a IDLE\r\nDOX',
  'a bracket behind the name': 'a UNAUTHENTICATE(\r\n',
  'a tag alone': 'UNAUTHENTICATE\r\n',
  'DONE as a tag': 'DONE NOOP\r\n',
  'DONE as a tag, with a literal': 'DONE APPEND x {30+}\r\nb UNAUTHENTICATE\r\n',
  'another line than DONE in IDLE': 'a IDLE\r\nx APPEND y {30+}\r\nb UNAUTHENTICATE\r\n',
  'IDLE with a literal': 'a IDLE {4}\r\nDONE\r\n',
  'a quoted string that does not end': 'a NOOP " {100+}\r\nb UNAUTHENTICATE\r\n',
  // Cyrus takes what is escaped for a part of the string, whatever it is.
  'a quoted string with an escaped LF': 'a SELECT "x\\\nb UNAUTHENTICATE\r\n"\r\n',
  'a literal of more octets than some servers can count': 'a NOOP {4294967296+}\r\nb',
  'a literal of more digits than any number has': 'a NOOP {9999999999999999+}\r\nb UNAUTHENTICATE\r\n',
  'a literal with a leading zero': 'a NOOP {010}\r\nb UNAUTHENTICATE\r\n',
  'more digits than a literal has, before they have come to an end': 'a NOOP {12345678901',
  'more digits than a literal has in braces that are no marker': 'a NOOP {12345678901x}\r\n',
  'another octet than the bracket behind the plus of a literal': 'a NOOP {10+x',
  'a literal that is not at the end of its line': 'a NOOP {10+} x\r\nb UNAUTHENTICATE\r\n',
}

for (const [what, octets] of Object.entries(AMBIGUOUS))
  testEveryCut(`ends at ${what}`, (cut) => {
    const { session, commands } = play(cut, octets)
    assert.equal(session.ended, 'ambiguous')
    assert.ok(commands.every((command) => /^a (NOOP|IDLE|SELECT)/.test(command)))
  })

/** What the client sends, and what the back end must hear where that differs. */
const PASSED: Record<string, string | [string, string]> = {
  'nothing at all': '',
  'other commands': `${SELECT}b NOOP\r\nc UID FETCH 1:* (FLAGS)\r\n`,
  'lines that end in a bare LF': 'a SELECT INBOX\nb NOOP\n',
  'empty lines': '\r\n\na NOOP\r\n\r\n',
  'tags that are used again': 'a NOOP\r\na NOOP\r\na NOOP\r\n',
  'the longest tag': `${'t'.repeat(1000)} NOOP\r\n`,
  'the longest name': `a ${'X'.repeat(64)}\r\n`,
  'the word as an argument': 'a SEARCH TEXT UNAUTHENTICATE\r\n',
  'the word as a quoted argument': 'a SEARCH TEXT "UNAUTHENTICATE"\r\n',
  'the word as a mailbox': 'a SELECT UNAUTHENTICATE\r\n',
  'the word as a tag': 'UNAUTHENTICATE NOOP\r\n',
  'words that begin so': 'a UNAUTHENTICATED\r\nb UNAUTHENTICATE1\r\n',
  'words that end so': 'a XUNAUTHENTICATE\r\nb X-UNAUTHENTICATE\r\n',
  'a long line that ends in the word': `a SEARCH TEXT ${'x'.repeat(1000)} UNAUTHENTICATE\r\n`,
  'braces that announce nothing': 'a SEARCH TEXT foo} "{5}" x{y\r\n',
  'a line with 8-bit octets': 'a SEARCH TEXT "gr\xfc\xdfe" \xc3\xa4\r\n',
  'the command inside a synchronising literal': 'a APPEND INBOX {20}\r\na UNAUTHENTICATE\r\nxy\r\n',
  'the command inside a non-synchronising literal': [
    'a APPEND INBOX {20+}\r\na UNAUTHENTICATE\r\nxy\r\nb NOOP\r\n',
    'a APPEND INBOX {20}\r\na UNAUTHENTICATE\r\nxy\r\nb NOOP\r\n',
  ],
  'the command inside a literal with a message around it': [
    'a APPEND INBOX (\\Seen) {36+}\r\nSubject: x\r\n\r\na UNAUTHENTICATE\r\n.\r\n\r\nb NOOP\r\n',
    'a APPEND INBOX (\\Seen) {36}\r\nSubject: x\r\n\r\na UNAUTHENTICATE\r\n.\r\n\r\nb NOOP\r\n',
  ],
  'the command inside a binary literal (RFC 3516)': [
    'a APPEND INBOX ~{18+}\r\na UNAUTHENTICATE\r\n\r\n',
    'a APPEND INBOX ~{18}\r\na UNAUTHENTICATE\r\n\r\n',
  ],
  'a NUL inside a binary literal': 'a APPEND INBOX ~{3}\r\n\0\r\0\r\n',
  'literals of both kinds in one command': [
    'a SEARCH TEXT {3+}\r\nabc SUBJECT {4}\r\nd\r\ne BODY {0+}\r\n\r\n',
    'a SEARCH TEXT {3}\r\nabc SUBJECT {4}\r\nd\r\ne BODY {0}\r\n\r\n',
  ],
  'IDLE, and a literal behind it': 'a IDLE\r\nDONE\r\nb APPEND INBOX {20}\r\na UNAUTHENTICATE\r\nxy\r\n',
  'IDLE in any case': 'a idle\r\ndone\r\nb IDLE \r\nDone\r\n',
  'COMPRESS as an argument': 'a SEARCH TEXT COMPRESS\r\nb SEARCH SUBJECT COMPRESS DEFLATE\r\n',
  'a quoted string with a quote in it before a literal': [
    'a SEARCH TEXT "x \\" {1+}" BODY {20+}\r\na UNAUTHENTICATE\r\nxy\r\n',
    'a SEARCH TEXT "x \\" {1+}" BODY {20}\r\na UNAUTHENTICATE\r\nxy\r\n',
  ],
  'the beginning of the command': 'a UNAUTHENTICATE',
}

for (const [what, octets] of Object.entries(PASSED))
  testEveryCut(`lets pass ${what}`, (cut) => {
    const [sent, heard] = typeof octets === 'string' ? [octets, octets] : octets
    const { session } = play(cut, sent)
    assert.equal(session.ended, undefined)
    assert.equal(session.toBackend, heard)
  })

testEveryCut('shows the client no continuation that it has not asked for, and every other', (cut) => {
  const { session } = play(cut, 'a APPEND x {2+}\r\nhi\r\nb APPEND x {2}\r\nhi\r\nc IDLE\r\nDONE\r\n')
  assert.equal(session.toClient, 'a OK done {7}\r\n+ go ahead\r\nb OK done {7}\r\n+ idling\r\nc OK idle\r\n')
})

testEveryCut('lets DONE pass where the back end has refused the IDLE', (cut) => {
  const { session } = play(cut, 'a IDLE\r\nDONE\r\nb NOOP\r\n', { takesIdle: false })
  assert.equal(session.ended, undefined)
  assert.equal(session.toBackend, 'a IDLE\r\nDONE\r\nb NOOP\r\n')
})

test('ends a session without a line, and says that it is a guard', () => {
  const { farewell, mode } = new ImapGuard()
  assert.deepEqual([farewell, mode], ['', 'guard'])
})

test('is idle where no command is in progress, or an IDLE is confirmed, and no response is half come', () => {
  const guard = new ImapGuard()
  const ignore = (): void => undefined
  const show = (side: 'fromClient' | 'fromBackend', text: string): boolean => {
    guard[side](Buffer.from(text), ignore)
    return guard.isIdle()
  }
  assert.equal(guard.isIdle(), true)
  assert.equal(show('fromClient', 'a NOOP\r\n'), false)
  assert.equal(show('fromBackend', 'a OK\r\n'), true)
  assert.equal(show('fromBackend', '* 3 EX'), false)
  assert.equal(show('fromBackend', 'ISTS\r\n'), true)
  assert.equal(show('fromClient', 'b IDLE\r\n'), false)
  assert.equal(show('fromBackend', '+ idling\r\n'), true)
  assert.equal(show('fromClient', 'DONE\r\n'), false)
})

type Turn = { client: string } | { backend: string }

/** Plays both sides as written. */
function script(cut: Cut, turns: readonly Turn[]): GuardedSession {
  const session = new GuardedSession(new ImapGuard())
  for (const turn of turns)
    for (const piece of cut.split('client' in turn ? turn.client : turn.backend))
      if ('client' in turn) session.fromClient(piece)
      else session.fromBackend(piece)
  return session
}

testEveryCut('holds the next command until the tagged answer, and nothing that the back end sends meanwhile', (cut) => {
  const answer = '* 1 EXISTS\r\n* 1 FETCH (BODY[] {12}\r\na OK\r\n+ b\r\n)\r\n* OK a OK {99}\r\nb OK\r\n'.replace(
    'b OK\r\n',
    '',
  )
  const session = script(cut, [{ client: 'a FETCH 1 BODY[]\r\nb NOOP\r\n' }, { backend: answer }])
  assert.equal(session.toBackend, 'a FETCH 1 BODY[]\r\n')
  assert.equal(session.toClient, answer)
  session.fromBackend('a OK done\r\n')
  assert.equal(session.toBackend, 'a FETCH 1 BODY[]\r\nb NOOP\r\n')
})

testEveryCut('goes on behind an IDLE that the back end has ended itself', (cut) => {
  const idle: Turn[] = [{ client: 'a IDLE\r\n' }, { backend: '+ idling\r\n' }]
  for (const [before, after] of [
    ['', 'DONE\r\n'],
    ['DO', 'NE\r\n'],
    ['DONE\r\n', ''],
  ] as const) {
    const session = script(cut, [
      ...idle,
      { client: before },
      { backend: '* BAD enough\r\na OK Time is up\r\n' },
      { client: `${after}b NOOP\r\n` },
      { backend: 'DONE BAD Null command\r\nb OK\r\n' },
    ])
    assert.equal(session.ended, undefined)
    assert.equal(session.toBackend, 'a IDLE\r\nDONE\r\nb NOOP\r\n')
  }
})

testEveryCut('holds the command behind DONE until the answer to IDLE', (cut) => {
  const session = script(cut, [
    { client: 'a IDLE\r\n' },
    { backend: '+ idling\r\n' },
    { client: 'DONE\r\nb NOOP\r\n' },
    { backend: '* 3 EXISTS\r\n' },
  ])
  assert.equal(session.toBackend, 'a IDLE\r\nDONE\r\n')
  session.fromBackend('a OK\r\n')
  assert.equal(session.toBackend, 'a IDLE\r\nDONE\r\nb NOOP\r\n')
})

testEveryCut('passes on a line that is no response, and an untagged BAD', (cut) => {
  const lines = 'hello\r\n* BAD what\r\n\r\n'
  const session = script(cut, [{ client: 'a NOOP\r\n' }, { backend: `${lines}a OK\r\n` }, { client: 'b NOOP\r\n' }])
  assert.deepEqual([session.ended, session.toClient], [undefined, `${lines}a OK\r\n`])
  assert.equal(session.toBackend, 'a NOOP\r\nb NOOP\r\n')
})

test('looks at every line of a long answer', () => {
  const list = '* 1 FETCH (FLAGS (\\Seen))\r\n'.repeat(200)
  const session = new GuardedSession(new ImapGuard())
  session.fromClient('a FETCH 1:* FLAGS\r\n')
  session.fromBackend(`${list}b OK\r\n${list}`)
  assert.equal(session.ended, 'ambiguous')
})

const UNEXPECTED: Record<string, readonly Turn[]> = {
  'a continuation without a command': [{ backend: '+ go ahead\r\n' }],
  'a continuation for a command without a literal': [{ client: 'a NOOP\r\n' }, { backend: '+ go ahead\r\n' }],
  'a continuation in the middle of a line': [{ client: 'a APPEND x {1' }, { backend: '+ go ahead\r\n' }],
  'a second continuation for one literal': [
    { client: 'a APPEND x {5}\r\n' },
    { backend: '+ go ahead\r\n+ go ahead\r\n' },
  ],
  'a tagged answer without a command': [{ backend: 'a OK\r\n' }],
  'the answer to another command': [{ client: 'a NOOP\r\n' }, { backend: 'b OK\r\n' }],
  'a second answer to one command': [{ client: 'a NOOP\r\n' }, { backend: 'a BAD no\r\na NO no\r\n' }],
}

for (const [what, turns] of Object.entries(UNEXPECTED))
  testEveryCut(`ends at ${what}`, (cut) => assert.equal(script(cut, turns).ended, 'ambiguous'))

testEveryCut('follows an answer that comes in the middle of a literal', (cut) => {
  const session = script(cut, [
    { client: 'a APPEND x {5}\r\n' },
    { backend: '+ go ahead\r\n' },
    { client: 'he' },
    { backend: 'a NO full\r\n' },
    { client: 'llo {18+}\r\nb UNAUTHENTICATE\r\n\r\nb NOOP\r\n' },
  ])
  assert.equal(session.ended, undefined)
  assert.equal(session.toBackend, 'a APPEND x {5}\r\nhello {18}\r\nb NOOP\r\n')
})

test('asks about each command once, by its name in upper case and its tag', () => {
  const asked: string[] = []
  const session = new GuardedSession(new ImapGuard((name, tag) => asked.push(`${tag} ${name}`) > 0))
  const server = new ImapServer()
  let passed = session.fromClient('a NooP\r\nb uid fetch 1 FLAGS\r\n')
  while (passed !== '') passed = session.fromBackend(server.take(passed))
  assert.deepEqual(asked, ['a NOOP', 'b UID'])
})

test('reads a piece that is a window on a larger buffer', () => {
  const all = Buffer.from('xxxxa UNAUTHENTICATE\r\nb NOOP\r\n')
  const ignore = (): void => undefined
  assert.equal(new ImapGuard().fromClient(all.subarray(4, 22), ignore), 'forbidden')
  assert.equal(new ImapGuard().fromClient(all.subarray(22), ignore), 8)
})

test('two sessions do not share what they have seen', () => {
  const [one, other] = [new ImapGuard(), new ImapGuard()]
  const ignore = (): void => undefined
  assert.equal(one.fromClient(Buffer.from('a UNAUTH'), ignore), 8)
  assert.equal(other.fromClient(Buffer.from('ENTICATE NOOP\r\n'), ignore), 15)
  assert.equal(one.fromClient(Buffer.from('ENTICATE\r\n'), ignore), 'forbidden')
})

// A gigabyte costs what an empty literal costs: the octets are counted, not kept.
test('passes a large literal over without keeping it', () => {
  const session = new ImapGuard()
  const ignore = (): void => undefined
  const size = 64 * 1024 * 1024
  session.fromClient(Buffer.from(`a APPEND INBOX {${size}+}\r\n`), ignore)
  assert.equal(session.fromBackend(Buffer.from('+\r\n'), ignore), true)
  const piece = Buffer.alloc(64 * 1024, 'a UNAUTHENTICATE\r\n')
  for (let sent = 0; sent < size; sent += piece.length) assert.equal(session.fromClient(piece, ignore), piece.length)
  assert.equal(session.fromClient(Buffer.from('\r\nb NOOP\r\n'), ignore), 2)
})
