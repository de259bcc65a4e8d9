/** Whether a command is in progress in an IMAP session, as its tagged answers tell. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ImapWatch } from '../../../../src/protocol/imap/watch.ts'
import { backend, checkIdle, checkLost, client, show, type Step } from '../../../support/watched.ts'

const create = (): ImapWatch => new ImapWatch()
const IDLE = true

const FOLLOWED: Record<string, readonly Step[]> = {
  'a command and its answer': [client('a NOOP\r\n'), backend('* 3 EXISTS\r\n'), backend('a OK done\r\n', IDLE)],
  'lines that end in a bare LF': [client('a NOOP\n'), backend('a OK done\n', IDLE)],
  'answers of all kinds': [
    client('a NOOP\r\n'),
    backend('a NO\r\n', IDLE),
    client('a NOOP\r\n'),
    backend('a bad what\r\n', IDLE),
  ],
  'tags in either case, which are two tags': [
    client('a NOOP\r\nA NOOP\r\n'),
    backend('A OK\r\n'),
    backend('a OK\r\n', IDLE),
  ],
  'tags of many lengths, and answers with all that a status may end with': Array.from({ length: 12 }, (_, index) => {
    const tag = 'ABCDEFGHIJKL'.slice(0, index + 1)
    const answer = `${tag} ${index % 2 ? 'NO' : 'ok'}${['\r\n', '\n', ' done\r\n'][index % 3]}`
    return [client(`${tag} uid FETCH 1 FLAGS\r\n`), backend(answer, IDLE)]
  }).flat(),
  'commands that begin as those that change the session': [
    client('a ID NIL\r\n'),
    backend('* ID NIL\r\na OK\r\n', IDLE),
    client('a STORE 1 FLAGS ()\r\n'),
    backend('a OK\r\n', IDLE),
  ],
  'a long tag': [client(`${'t'.repeat(1000)} NOOP\r\n`), backend(`${'t'.repeat(1000)} OK\r\n`, IDLE)],
  'an empty line': [client('\r\n', IDLE), client('a NOOP\r\n'), backend('a OK\r\n', IDLE)],
  'news while no command is in progress': [backend('* 3 EXISTS\r\n', IDLE), backend('* OK still here\r\n', IDLE)],
  'pipelined commands, answered in another order': [
    client('a SEARCH ALL\r\nb NOOP\r\nc NOOP\r\n'),
    backend('b OK\r\n'),
    backend('* SEARCH 1\r\n'),
    backend('a OK\r\nc OK\r\n', IDLE),
  ],
  'one tag for several commands': [client('a NOOP\r\na NOOP\r\n'), backend('a OK\r\n'), backend('a OK\r\n', IDLE)],
  'a synchronising literal': [
    client('a APPEND x {12}\r\n'),
    backend('+ go\r\n'),
    client('b NOOP\r\n\r\nxx'),
    client('\r\n'),
    backend('a OK\r\n', IDLE),
  ],
  'a synchronising literal that is refused': [
    client('a APPEND x {12}\r\n'),
    backend('a NO full\r\n', IDLE),
    client('b NOOP\r\n'),
    backend('b OK\r\n', IDLE),
  ],
  'a non-synchronising literal': [
    client('a APPEND x {10+}\r\nb NOOP\r\n\r\n'),
    client('\r\n'),
    backend('a OK\r\n', IDLE),
  ],
  'a non-synchronising literal that is refused before its end': [
    client('a APPEND x {10+}\r\nb NO'),
    backend('a NO full\r\n'),
    client('OP\r\n\r\n'),
    client('\r\n', IDLE),
    client('c NOOP\r\n'),
    backend('c OK\r\n', IDLE),
  ],
  'binary and empty literals': [
    client('a APPEND x ~{2+}\r\n\0\n UTF8 (~{0+}\r\n)\r\n'),
    backend('a OK\r\n', IDLE),
    client('a SELECT {0}\r\n'),
    backend('+ go\r\n'),
    client('\r\n'),
    backend('a NO\r\n', IDLE),
  ],
  'literals of both kinds in one command behind another command': [
    client('z NOOP\r\na SEARCH TEXT {3+}\r\nabc SUBJECT {4}\r\n'),
    backend('z OK\r\n'),
    backend('+ go\r\n'),
    client('d\r\ne BODY {1+}\r\nx\r\n'),
    backend('* SEARCH\r\na OK\r\n', IDLE),
  ],
  'braces that announce nothing': [
    client('a LIST "" "x {5+}"\r\nb SEARCH TEXT foo} x{y\r\n'),
    backend('* OK text {5}\r\n'),
    backend('a OK text {7}\r\n'),
    backend('b NO {7}\r\n', IDLE),
  ],
  'literals of the back end that read like answers': [
    client('a FETCH 1 BODY[]\r\n'),
    backend('* 1 FETCH (BODY[] {12}\r\na OK fake\r\n\n X {6}\r\na OK\r\n FLAGS ())\r\n'),
    backend('a OK {99}\r\n', IDLE),
  ],
  'an empty literal of the back end': [
    client('a FETCH 1 BODY[]\r\n'),
    backend('* 1 FETCH (X {0}\r\n)\r\na OK\r\n', IDLE),
  ],
  'a very long line of either side': [
    client(`a FETCH ${'1,'.repeat(3000)}1 FLAGS\r\n`),
    backend(`* SEARCH ${'1 '.repeat(3000)}\r\n`),
    backend('a OK\r\n', IDLE),
  ],
  IDLE: [
    client('a IDLE\r\n'),
    backend('+ idling\r\n', IDLE),
    backend('* 4 EXISTS\r\n', IDLE),
    client('DONE\r\n'),
    backend('* 5 EXISTS\r\n'),
    backend('a OK\r\n', IDLE),
  ],
  'IDLE behind a command': [client('z NOOP\r\na IDLE\r\n'), backend('z OK\r\n'), backend('+ idling\r\n', IDLE)],
  'IDLE that the client ends unseen': [
    client('a IDLE\r\nDONE\r\nb IDLE\r\nDONE\r\nc APPEND x {2}\r\n'),
    backend('+ idling\r\na OK\r\n+ idling\r\nb OK\r\n'),
    backend('+ go\r\n'),
    client('hi\r\n'),
    backend('c OK\r\n', IDLE),
  ],
  'IDLE that is refused': [
    client('a IDLE\r\n'),
    backend('a BAD what\r\n', IDLE),
    client('DONE\r\n', IDLE),
    backend('DONE BAD Null command\r\n', IDLE),
  ],
  'IDLE that the back end ends': [
    client('a IDLE\r\n'),
    backend('+ idling\r\n', IDLE),
    client('DO'),
    backend('a OK Time is up\r\n'),
    client('NE\r\n', IDLE),
  ],
  'COMPRESS that is refused': [client('a COMPRESS DEFLATE\r\n'), backend('a NO no\r\n', IDLE)],
  'as many unanswered commands as clients may send': [
    client('a NOOP\r\n'.repeat(1000)),
    backend('a OK\r\n'.repeat(1000), IDLE),
  ],
  'a name as long as it may be': [client(`a ${'X'.repeat(64)}\r\n`), backend('a BAD\r\n', IDLE)],
  'spaces before the name and behind it': [client('a   NOOP  \r\n'), backend('a OK\r\n', IDLE)],
  'two IDLEs, confirmed in turn': [
    client('a IDLE\r\n'),
    backend('+ idling\r\n', IDLE),
    client('DONE\r\nb IDLE\r\n'),
    backend('a OK\r\n'),
    backend('+ idling\r\n', IDLE),
    client('DONE\r\n'),
    backend('b OK\r\n', IDLE),
  ],
  'IDLE whose DONE comes in pieces': [
    client('a IDLE\r\n'),
    backend('+ idling\r\n', IDLE),
    client('D'),
    client('ONE'),
    client('\r'),
    client('\n'),
    backend('a OK\r\n', IDLE),
  ],
  'IDLE whose DONE begins before the continuation': [
    client('a IDLE\r\nDO'),
    backend('+ idling\r\n'),
    client('NE\r\n'),
    backend('a OK\r\n', IDLE),
  ],
  'IDLE whose DONE comes whole before the continuation': [
    client('a IDLE\r\nDONE\r\n'),
    backend('+ idling\r\na OK\r\n', IDLE),
    client('b NOOP\r\n'),
    backend('b OK\r\n', IDLE),
  ],
  'pipelined commands answered in another order behind a long list': [
    client('a NOOP\r\nb NOOP\r\n'),
    backend(`${'* 1 FETCH (FLAGS (\\Seen))\r\n'.repeat(100)}b OK\r\na OK\r\n`, IDLE),
  ],
  'IDLE that is confirmed behind a long list': [
    client('a IDLE\r\n'),
    backend(`${'* 1 FETCH (FLAGS (\\Seen))\r\n'.repeat(100)}+ idling\r\n`, IDLE),
  ],
  'a literal that is asked for behind a long list': [
    client('a APPEND x {3}\r\n'),
    backend(`${'* 1 FETCH (FLAGS (\\Seen))\r\n'.repeat(100)}+ go\r\n`),
    client('abc\r\n'),
    backend('a OK\r\n', IDLE),
  ],
  'IDLE beside an unanswered command': [
    client('z NOOP\r\na IDLE\r\n'),
    backend('+ idling\r\n'),
    backend('z OK\r\n', IDLE),
  ],
  'commands that are refused and would make the session unreadable': [
    client('a STARTTLS\r\nb AUTHENTICATE X\r\nc COMPRESS X\r\n'),
    backend('a NO\r\nb BAD\r\nc NO\r\n', IDLE),
  ],
  'names that only begin or end so': [
    client('a XCOMPRESS\r\nb COMPRESSX\r\nc STARTTLS2\r\nd AUTH\r\ne XIDLE\r\nf IDLEX\r\n'),
    backend('a OK\r\nb OK\r\nc OK\r\nd OK\r\ne OK\r\nf OK\r\n', IDLE),
  ],
  'an untagged BAD while no command is unanswered': [backend('* BAD hm\r\n', IDLE)],
  'an answer to a DONE that came too late': [backend('DONE BAD x\r\n', IDLE), backend('done NO\r\n', IDLE)],
  LOGOUT: [client('a LOGOUT\r\n'), backend('* BYE see you\r\n'), backend('a OK\r\n', IDLE)],
}

for (const [what, steps] of Object.entries(FOLLOWED)) test(`follows ${what}`, () => checkIdle(create, steps))

const LOST: Record<string, readonly Step[]> = {
  'behind COMPRESS': [client('a COMPRESS DEFLATE\r\n'), backend('a OK active\r\n')],
  'behind STARTTLS': [client('a STARTTLS\r\n'), backend('a OK go\r\n')],
  // RFC 4422 3.7: a security layer may follow
  'behind AUTHENTICATE': [client('a AUTHENTICATE PLAIN AGEAYg==\r\n'), backend('a OK\r\n')],
  'at a tag alone': [client('a\r\n')],
  'at a tag and a space': [client('a \r\n')],
  'at a space before the tag': [client(' a NOOP\r\n')],
  'at a name with another octet': [client('a NO(P\r\n')],
  'at DONE as a tag': [client('DONE NOOP\r\n')],
  'at a CR within a tag': [client('a\r NOOP\r\n')],
  'at a NUL within a name': [client('a NO\0OP\r\n')],
  'at IDLE with a literal': [client('a IDLE {3+}\r\nabc\r\n')],
  'at more than DONE in IDLE': [client('a IDLE\r\nDONEX\r\n')],
  'at less than DONE in IDLE': [client('a IDLE\r\nDON\r\n')],
  'at an empty line in IDLE': [client('a IDLE\r\n\r\n')],
  'at a second continuation for one literal': [client('a APPEND x {1}\r\n'), backend('+ go\r\n+ go\r\n')],
  'at a literal with a leading zero': [client('a APPEND x {01+}\r\n')],
  'at a challenge': [client('a AUTHENTICATE PLAIN\r\n'), backend('+ \r\n')],
  'at octets for a literal that was not accepted': [client('a APPEND x {5}\r\nhello\r\n')],
  'at an untagged BAD while a command is unanswered': [client('a NOOP\r\n'), backend('* BAD what\r\n')],
  'at an answer that was not asked for': [backend('a OK\r\n')],
  'at an answer to another command': [client('ab NOOP\r\n'), backend('a OK\r\n')],
  'at an answer to a command whose tag begins so': [client('a NOOP\r\n'), backend('ab OK\r\n')],
  'at an answer to none of several commands': [client('a NOOP\r\nb NOOP\r\n'), backend('c OK\r\n')],
  'at an answer with a tag of the same beginning': [client('ABCDEFGH NOOP\r\n'), backend('ABCDEFGI OK\r\n')],
  'at a word that begins as a status': [client('a NOOP\r\n'), backend('a OKAY\r\n')],
  'at a continuation that was not asked for': [client('a NOOP\r\n'), backend('+ go\r\n')],
  'at what is no response': [client('a NOOP\r\n'), backend('hello\r\n')],
  'at what is no tag': [client('(a NOOP\r\n')],
  'at a tag longer than servers take': [client(`${'t'.repeat(1001)} NOOP\r\n`)],
  'at another line than DONE in IDLE': [client('a IDLE\r\n'), backend('+ idling\r\n'), client('b NOOP\r\n')],
  'at a literal that servers cannot count': [client('a NOOP {99999999999+}\r\n')],
  'at more unanswered commands than any client sends': [client('a NOOP\r\n'.repeat(1001))],
}

for (const [what, steps] of Object.entries(LOST))
  test(`says that it cannot follow ${what}`, () => checkLost(create, steps))

test('follows answers that come with news in one piece', () => {
  const watch = create()
  assert.ok(show(watch, 'client', 'a IDLE\r\n'))
  assert.ok(show(watch, 'backend', '+ idling\r\n* 4 EXISTS\r\n'))
  assert.equal(watch.isIdle(), true)
  assert.ok(show(watch, 'client', 'DONE\r\n'))
  assert.ok(show(watch, 'backend', 'a OK\r\n* 5 EXISTS\r\n'))
  assert.equal(watch.isIdle(), true)
  assert.ok(show(watch, 'client', 'b NOOP\r\n'))
  assert.ok(show(watch, 'backend', 'b OK\r\n* 6 EXISTS\r'))
  assert.equal(watch.isIdle(), false)
  assert.ok(show(watch, 'backend', '\n'))
  assert.equal(watch.isIdle(), true)
})

const MANY = 3000

/** Answers of many lines, which fill large chunks. */
const LISTS: Record<string, string> = {
  'lines without a literal': '* 1 FETCH (FLAGS ())\r\n'.repeat(MANY),
  'lines with braces': '* 1 FETCH (X "{3}" {4} y})\r\n'.repeat(MANY),
  'lines with literals that read like the answer': '* 1 FETCH (X {9}\r\n\r\nt OK x\r Y {3}\r\nt O)\r\n'.repeat(MANY),
  'lines that end in a bare LF': '* 1 FETCH (X {5}\nt OK\n)\n* 2 EXISTS\n'.repeat(MANY),
  'texts that end in a brace': '* OK text {100}\r\n* 2 FETCH (X {7}\r\n\nt OK\r\n)\r\n'.repeat(MANY),
}

for (const [what, list] of Object.entries(LISTS))
  test(`finds the answer behind ${what}, in chunks of any size`, () => {
    const stream = `${list}t OK done\r\n`
    for (const size of [1500, 16_384, 65_536, stream.length]) {
      const watch = create()
      assert.ok(show(watch, 'client', 't FETCH 1:* X\r\n'))
      for (let at = 0; at < stream.length; at += size) {
        assert.equal(watch.isIdle(), false)
        assert.ok(show(watch, 'backend', stream.slice(at, at + size)), `${size}`)
      }
      assert.equal(watch.isIdle(), true, `${size}`)
      assert.ok(show(watch, 'client', 'u NOOP\r\nv NOOP\r\n'))
      assert.ok(show(watch, 'backend', `u OK\r\n${list}v OK\r\n* 3 EXISTS\r\n`), 'pipelined')
      assert.equal(watch.isIdle(), true)
    }
  })

test('keeps nothing of a large literal of either side', () => {
  const watch = create()
  const bytes = 20 * 1024 * 1024
  const piece = Buffer.alloc(64 * 1024, 'b NOOP\r\na OK\r\n')
  assert.ok(show(watch, 'client', `a APPEND x {${bytes}+}\r\n`))
  for (let sent = 0; sent < bytes; sent += piece.length) assert.ok(watch.fromClient(piece))
  assert.ok(show(watch, 'client', '\r\n'))
  assert.ok(show(watch, 'backend', `* 1 FETCH (BODY[] {${bytes}}\r\n`))
  for (let sent = 0; sent < bytes; sent += piece.length) assert.ok(watch.fromBackend(piece))
  assert.equal(watch.isIdle(), false)
  assert.ok(show(watch, 'backend', ')\r\na OK\r\n'))
  assert.equal(watch.isIdle(), true)
})
