/** UNAUTHENTICATE (RFC 8437) would let the next user in past routing: the guard says no at the command, and only there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createUnauthenticateGuard } from '../../../src/protocol/imap/guard.ts'
import { testEveryCut, type Cut } from '../../support/splits.ts'

/** Whether all of it may pass, cut so. */
function passes(cut: Cut, octets: string): boolean {
  const guard = createUnauthenticateGuard()
  return cut.split(octets).every((piece) => guard(Buffer.from(piece, 'latin1')))
}

const SELECT = 'a SELECT INBOX\r\n'

const STOPPED: Record<string, string> = {
  'the command': 'a UNAUTHENTICATE\r\n',
  'the command in lower case': 'a unauthenticate\r\n',
  'the command in mixed case': 'a UnAuthenticate\r\n',
  'the command with a bare LF': 'a UNAUTHENTICATE\n',
  'the command with more spaces than the grammar has': 'a   UNAUTHENTICATE  \r\n',
  'a long tag': `${'t'.repeat(64)} UNAUTHENTICATE\r\n`,
  'a tag beyond all measure': `${'t'.repeat(1000)} UNAUTHENTICATE\r\n`,
  'spaces beyond all measure': `a${' '.repeat(1000)}UNAUTHENTICATE\r\n`,
  'spaces beyond all measure behind it': `a UNAUTHENTICATE${' '.repeat(1000)}\r\n`,
  'any tag': '}*%(+ UNAUTHENTICATE\r\n',
  'the command after others': `${SELECT}b FETCH 1 BODY[]\r\nc IDLE\r\nDONE\r\nd UNAUTHENTICATE\r\n`,
  'the command after a very long line': `a FETCH ${'1,'.repeat(5000)}1 FLAGS\r\nb UNAUTHENTICATE\r\n`,
  'the command before others': `a UNAUTHENTICATE\r\nb LOGIN mallory secret\r\n`,
  'the command after a non-synchronising literal': 'a APPEND INBOX {5+}\r\nhello\r\nb UNAUTHENTICATE\r\n',
  'the command after two of them': 'a SEARCH TEXT {3+}\r\nabc SUBJECT {4+}\r\nd\r\ne\r\nb UNAUTHENTICATE\r\n',
  'the command after an empty one': 'a APPEND INBOX {0+}\r\n\r\nb UNAUTHENTICATE\r\n',
  'the command after a literal that ends within a line': 'a APPEND INBOX {5+}\r\nhello (x)\r\nb UNAUTHENTICATE\r\n',
  'the command after a literal at the end of a long line': `a SEARCH ${'OR '.repeat(400)}TEXT {5+}\r\nhello\r\nb UNAUTHENTICATE\r\n`,
  // a server that has refused the literal reads the octets as commands, and only it knows
  'the command where a synchronising literal was announced': 'a APPEND INBOX {30}\r\nb UNAUTHENTICATE\r\n',
  'the command after what only looks like a marker': 'a SEARCH TEXT "{30+}"\r\nb UNAUTHENTICATE\r\n',
  'the command after a marker that is none': 'a SEARCH TEXT {3x+}\r\nb UNAUTHENTICATE\r\n',
  // While IDLE waits for DONE a server takes no literal, and reads what follows as commands.
  'the command after IDLE and what looks like a literal': 'a IDLE\r\nx APPEND y {30+}\r\nb UNAUTHENTICATE\r\n',
  'the command after a line that is no command and ends like a literal': 'DONE {30+}\r\nb UNAUTHENTICATE\r\n',
  'the command after a marker in a quoted string that does not end': 'a NOOP " {100+}\r\nb UNAUTHENTICATE\r\n',
  'a literal that some servers would read as none': 'a NOOP {4294967296+}\r\nb',
  // RFC 4978: behind it nothing could be looked at
  COMPRESS: 'a COMPRESS DEFLATE\r\n',
  'COMPRESS in lower case': 'a compress deflate\r\n',
  // a server that skips line ends before the command's name would read the two as one
  'the word alone': 'UNAUTHENTICATE\r\n',
  'the command behind an empty line': '\r\na UNAUTHENTICATE\r\n',
}

for (const [what, octets] of Object.entries(STOPPED))
  testEveryCut(`stops ${what}`, (cut) => assert.equal(passes(cut, octets), false))

const PASSED: Record<string, string> = {
  'nothing at all': '',
  'other commands': `${SELECT}b NOOP\r\nc UID FETCH 1:* (FLAGS)\r\n`,
  'the word as an argument': 'a SEARCH TEXT UNAUTHENTICATE\r\n',
  'the word as a quoted argument': 'a SEARCH TEXT "UNAUTHENTICATE"\r\n',
  'the word as a mailbox': 'a SELECT UNAUTHENTICATE\r\n',
  'the word as a tag': 'UNAUTHENTICATE NOOP\r\n',
  'words that begin so': 'a UNAUTHENTICATED\r\nb UNAUTHENTICATE1\r\n',
  'words that end so': 'a XUNAUTHENTICATE\r\nb AUTHENTICATE\r\n',
  'a long line that ends in the word': `a SEARCH TEXT ${'x'.repeat(1000)} UNAUTHENTICATE\r\n`,
  'a long line of short words that ends in the word': `a SEARCH ${'OR '.repeat(1000)} UNAUTHENTICATE\r\n`,
  'the command inside a non-synchronising literal': 'a APPEND INBOX {20+}\r\na UNAUTHENTICATE\r\nxy\r\n',
  'the command inside a literal with a message around it':
    'a APPEND INBOX (\\Seen) {36+}\r\nSubject: x\r\n\r\na UNAUTHENTICATE\r\n.\r\n\r\nb NOOP\r\n',
  'the command inside a binary literal (RFC 3516)': 'a APPEND INBOX ~{18+}\r\na UNAUTHENTICATE\r\n\r\n',
  'the command inside a literal after IDLE is done':
    'a IDLE\r\nDONE\r\nb APPEND INBOX {20+}\r\na UNAUTHENTICATE\r\nxy\r\n',
  'COMPRESS as an argument': 'a SEARCH TEXT COMPRESS\r\nb SEARCH SUBJECT COMPRESS DEFLATE\r\n',
  'the command inside a literal behind a quoted string with a quote in it':
    'a SEARCH TEXT "x \\" {1+}" BODY {20+}\r\na UNAUTHENTICATE\r\nxy\r\n',
  'the beginning of the command': 'a UNAUTHENTICATE',
}

for (const [what, octets] of Object.entries(PASSED))
  testEveryCut(`lets pass ${what}`, (cut) => assert.equal(passes(cut, octets), true))

test('stops at the piece that ends the line, and not before', () => {
  const guard = createUnauthenticateGuard()
  assert.equal(guard(Buffer.from('a UNAUTH')), true)
  assert.equal(guard(Buffer.from('ENTICATE')), true)
  assert.equal(guard(Buffer.from('\r')), true)
  assert.equal(guard(Buffer.from('\n')), false)
})

test('reads a piece that is a window on a larger buffer', () => {
  const all = Buffer.from('xxxxa UNAUTHENTICATE\r\nb NOOP\r\n')
  assert.equal(createUnauthenticateGuard()(all.subarray(4, 22)), false)
  assert.equal(createUnauthenticateGuard()(all.subarray(5, 19)), true)
  assert.equal(createUnauthenticateGuard()(all.subarray(22)), true)
})

test('two sessions do not share what they have seen', () => {
  const [one, other] = [createUnauthenticateGuard(), createUnauthenticateGuard()]
  assert.equal(one(Buffer.from('a UNAUTH')), true)
  assert.equal(other(Buffer.from('ENTICATE\r\n')), true)
  assert.equal(one(Buffer.from('ENTICATE\r\n')), false)
})

// An empty literal and a gigabyte cost the same: octets of a literal are counted, not kept.
test('passes a large literal over without keeping it', () => {
  const guard = createUnauthenticateGuard()
  const size = 64 * 1024 * 1024
  assert.equal(guard(Buffer.from(`a APPEND INBOX {${size}+}\r\n`)), true)
  const piece = Buffer.alloc(64 * 1024, 'a UNAUTHENTICATE\r\n')
  for (let sent = 0; sent < size; sent += piece.length) assert.equal(guard(piece), true)
  assert.equal(guard(Buffer.from('\r\nb UNAUTHENTICATE\r\n')), false)
})
