/**
 * The exchange that is recognised without strings: a plain command in one chunk, and its answer in one. What it does not take is read in
 * full elsewhere, so a test of the watch alone could not tell whether it took anything.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PlainExchange } from '../../../../src/protocol/imap/plain-exchange.ts'

/** A line of so many octets with its end. */
const lineOf = (bytes: number): string => `a ${'X'.repeat(bytes - 4)}\r\n`

const PLAIN = [
  'a NOOP\r\n',
  'a noop\r\n',
  'a X\r\n',
  'ABCDEFGH NOOP\r\n',
  'a NOOP \r\n',
  'a FETCH 1:* (FLAGS)\r\n',
  'a X-A.b_C9 "x"\r\n',
  'a SEARCH {3} x\r\n',
  // These share letters with commands that change the session.
  'a SELECT x\r\n',
  'a T\r\n',
  'a XT\r\n',
  'a TSTARTTLS\r\n',
  'DON NOOP\r\n',
  'DONEX NOOP\r\n',
  'CONE NOOP\r\n',
  'ADDD NOOP\r\n',
  lineOf(200),
]

const OTHER = [
  ...['', '\n', '\r\n', ' NOOP\r\n', 'a\r\n', 'a \r\n', 'a  NOOP\r\n', '\r\na NOOP\r\n'],
  ...['a NOOP', 'a NOOP\n', 'a NOOP\r', 'a NOOP\r\n\n', 'a NOOP\n\r', 'a NOOPx\n', 'a NOOP xy\n', 'a NOOP\rx'],
  // a literal follows, or might
  ...['a LOGIN {3}\r\n', 'a LOGIN {3+}\r\n', 'a X x}\r\n', 'a }\r\n'],
  // no tag, or too long a one
  ...['ABCDEFGHI NOOP\r\n', 'a+ NOOP\r\n', '(a NOOP\r\n', 'a\tNOOP\r\n', '* NOOP\r\n', '"a" NOOP\r\n'],
  // no name
  ...['a (NOOP)\r\n', 'a NOOP(x)\r\n', 'a NOOP\tx\r\n', 'a {NOOP\r\n', 'a NOOP=\r\n'],
  // more than one line
  ...['a NOOP\r\nb NOOP\r\n', 'a NOOP x\nb NOOP\r\n', 'a NOOP x\rb NOOP\r\n', 'a NOOP \r\r\n', 'a NOOP \n\r\n'],
  ...['IDLE', 'idle', 'ID NIL', 'COMPRESS DEFLATE', 'compress deflate', 'AUTHENTICATE PLAIN', 'authenticate plain'].map(
    (command) => `a ${command}\r\n`,
  ),
  ...['STARTTLS', 'starttls', 'sTATUS x'].map((command) => `a ${command}\r\n`),
  ...['DONE', 'done', 'Dabc', 'd234'].map((tag) => `${tag} NOOP\r\n`),
  lineOf(201),
]

for (const command of PLAIN)
  test(`takes ${JSON.stringify(command.slice(0, 40))}`, () => {
    const exchange = new PlainExchange()
    assert.equal(exchange.isOpen, false)
    assert.equal(exchange.begin(Buffer.from(command)), true)
    assert.equal(exchange.isOpen, true)
  })

for (const command of OTHER)
  test(`leaves ${JSON.stringify(command.slice(0, 40))} to others`, () => {
    const exchange = new PlainExchange()
    assert.equal(exchange.begin(Buffer.from(command)), false)
    assert.equal(exchange.isOpen, false)
  })

/** Tags of each length, and of every octet that a tag may have in each place. */
const TAGS = [
  ...Array.from({ length: 8 }, (_, index) => 'ABCDEFGH'.slice(0, index + 1)),
  ...['zzzzzzzz', '!#$&', "',-.", '01234567', '[]^_`|~a'],
]

const ANSWERS = ['OK\r\n', 'OK\n', 'OK \r\n', 'ok done\r\n', 'Ok {3}\n', 'NO\r\n', 'no\n', 'NO [LIMIT] x\r\n']

/** behind the tag */
const OTHER_ANSWERS = [
  ...[
    ' BAD x\r\n',
    ' BYE\r\n',
    ' ON\r\n',
    ' NK\r\n',
    ' OO\r\n',
    ' OKAY\r\n',
    ' NOT\r\n',
    ' O\r\n',
    ' XK\r\n',
    ' XO\r\n',
  ],
  ...[' OX\r\n', ' NX\r\n', ' OK\tx\r\n', ' OK', ' OK x', ' OK\r', ' OK\r\nx', ' OK\r\n* 1 EXISTS\r\n', ' OK\n\n'],
  ...['\tOK\r\n', 'OK\r\n', 'X OK\r\n', '  OK\r\n', '', ' ', '\n', ' \r\n'],
]

function open(tag: string): PlainExchange {
  const exchange = new PlainExchange()
  assert.ok(exchange.begin(Buffer.from(`${tag} NOOP\r\n`)))
  return exchange
}

for (const tag of TAGS)
  test(`ends at the answer to ${tag}, and at nothing else`, () => {
    for (const answer of ANSWERS) {
      const exchange = open(tag)
      assert.equal(exchange.end(Buffer.from(`${tag} ${answer}`)), true, answer)
      assert.equal(exchange.isOpen, false)
      assert.equal(exchange.begin(Buffer.from('b NOOP\r\n')), true)
      assert.equal(exchange.end(Buffer.from('b OK\r\n')), true)
    }
    const others = [
      ...OTHER_ANSWERS.map((rest) => tag + rest),
      ...ANSWERS.map((answer) => `* ${answer}`),
      // another tag in each place
      ...Array.from(tag, (_, at) => `${tag.slice(0, at)}x${tag.slice(at + 1)} OK\r\n`).filter(
        (text) => !text.startsWith(`${tag} `),
      ),
      ...Array.from(tag, (_, at) => `${tag.slice(0, at)}${tag.slice(at + 1)} OK\r\n`),
      `${tag}${tag} OK\r\n`,
    ]
    const exchange = open(tag)
    for (const other of others) assert.equal(exchange.end(Buffer.from(other)), false, JSON.stringify(other))
    assert.equal(exchange.isOpen, true)
    assert.equal(exchange.give(), tag)
    assert.equal(exchange.isOpen, false)
  })

test('reads a chunk that is a window on a larger buffer', () => {
  const all = Buffer.from('x NOOP\r\na NOOP\r\na OK\r\nb OK\r\n')
  const exchange = new PlainExchange()
  assert.equal(exchange.begin(all.subarray(8, 16)), true)
  assert.equal(exchange.end(all.subarray(22)), false)
  assert.equal(exchange.end(all.subarray(16, 22)), true)
})
