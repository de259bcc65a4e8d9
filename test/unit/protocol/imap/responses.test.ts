/** What the reader of responses reports to the watch, with every cut: answers, continuations, and what is neither (RFC 9051 7). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findLf, ResponseReader, type ResponseEvents } from '../../../../src/protocol/imap/responses.ts'
import { testEveryCut, type Cut } from '../../../support/splits.ts'

/** Keeps what it is told. `refuses`: the report at which the session cannot be followed any more. */
class Events implements ResponseEvents {
  readonly told: string[] = []
  readonly #refuses: string | undefined
  readonly #soleTag: string | undefined

  constructor(refuses?: string, soleTag?: string) {
    this.#refuses = refuses
    this.#soleTag = soleTag
  }

  #tell(report: string): boolean {
    this.told.push(report)
    return report !== this.#refuses
  }

  onContinuation(): boolean {
    return this.#tell('+')
  }
  onTagged(tag: string, status: string): boolean {
    return this.#tell(`${tag.length > 20 ? `${tag.length} octets` : tag} ${status}`)
  }
  onUntaggedBad(): boolean {
    return this.#tell('* BAD')
  }
  onGarbage(): boolean {
    return this.#tell('garbage')
  }
  soleTag(): string | undefined {
    return this.#soleTag
  }
  swallows(): boolean {
    return false
  }
}

/** Counts lent octets as the watch does. @returns whether all of it was followed */
function observe(reader: ResponseReader, pieces: readonly string[]): boolean {
  let lent = 0
  for (const piece of pieces) {
    const chunk = Buffer.from(piece, 'latin1')
    if (chunk.length <= lent) {
      lent -= chunk.length
      continue
    }
    lent = reader.observe(chunk, lent)
    if (lent < 0) return false
  }
  return true
}

/** A response, what is reported, and whether it is over. */
const RESPONSES: [octets: string, told: string[], isOver?: boolean][] = [
  ['a OK\r\n', ['a OK']],
  ['a ok done\r\n', ['a OK']],
  ['a OK\n', ['a OK']],
  ['a NO\r\n', ['a NO']],
  ['a No [LIMIT] x {3}\r\n', ['a NO']],
  ['a BAD x\r\n', ['a BAD']],
  ['a bad\n', ['a BAD']],
  [`${'t'.repeat(1000)} OK\r\n`, ['1000 octets OK']],
  [`${'t'.repeat(1000)} NO x\r\n`, ['1000 octets NO']],
  [`${'t'.repeat(1000)} BAD ${'x'.repeat(5000)}\r\n`, ['1000 octets BAD']],
  ['+ go\r\n', ['+']],
  ['+\r\n', ['+']],
  ['+ {5}\r\n', ['+']],
  ['+OK\r\n', ['+']],
  ['* BAD what\r\n', ['* BAD']],
  ['* bad\r\n', ['* BAD']],
  ['* BAD x {5}\r\n', ['* BAD']],
  ['* BADLY 1\r\n', []],
  ['* BYE x\r\n', []],
  ['* bye {5}\r\n', []],
  ['* OK x {5}\r\n', []],
  ['* no {5}\r\n', []],
  ['* PREAUTH {5}\r\n', []],
  ['* 3 EXISTS\r\n', []],
  ['* \r\n', []],
  ['*\r\n', []],
  ['* BODY {5}\r\n', [], false],
  ['* OKAY {5}\r\n', [], false],
  ['* NOTE {5}\r\n', [], false],
  ['* PREFIX {5}\r\n', [], false],
  ['* LIST {0}\r\n', [], false],
  ['* LIST {0}\r\n\r\n', []],
  ['* LIST {5}\r\nhello\r\n', []],
  ['* LIST {5}\nhello\n', []],
  ['* LIST {5}\r\nhello', [], false],
  ['* LIST {5}\r\nhell', [], false],
  ['* LIST {5}\r\nhello {2}\r\n+ )\r\n', []],
  ['* LIST {5}\r\nhelloa OK\r\n', []],
  ['* LIST {5}\r\nhello+ \r\n', []],
  ['* LIST {5}\r\nhello* OK {3}\r\nabc\r\n', []],
  ['* LIST {5}\r\nhello* BAD\r\n', []],
  ['* LIST {5}\r\nhello OK {2}\r\nab\r\n', []],
  ['* LIST {05}\r\nhello\r\n', []],
  ['* LIST "{5}"\r\n', []],
  ['* LIST {}\r\n', []],
  ['* LIST {x}\r\n', []],
  ['* LIST {5x}\r\n', []],
  ['* LIST x5}\r\n', []],
  ['* LIST {5} \r\n', []],
  ['* LIST {/}\r\n', []],
  ['* LIST {:}\r\n', []],
  ['* LIST }\r\n', []],
  ['* LIST 5}\r\n', []],
  [`* LIST ${'x'.repeat(1200)} {5}\r\nhello\r\n`, []],
  [`* LIST ${'x'.repeat(3000)} {5}\r\nhello\r\n`, []],
  ['hello\r\n', ['garbage']],
  ['a OKAY\r\n', ['garbage']],
  ['a OK\tx\r\n', ['garbage']],
  ['a BYE\r\n', ['garbage']],
  ['a PREAUTH x\r\n', ['garbage']],
  ['a O\r\n', ['garbage']],
  ['a K\r\n', ['garbage']],
  ['aOK\r\n', ['garbage']],
  ['a(OK\r\n', ['garbage']],
  ['a(OK x\r\n', ['garbage']],
  [' OK\r\n', ['garbage']],
  ['a  OK\r\n', ['garbage']],
  ['\r\n', ['garbage']],
  ['\n', ['garbage']],
  ['}\r\n', ['garbage']],
  ['{5}\r\n', ['garbage'], false],
]

const isShort = (text: string): boolean => text.length < 200

for (const [octets, told, isOver = true] of RESPONSES) {
  const shown = JSON.stringify(octets.slice(0, 40))
  // Octet by octet and at random all of them are read; the long ones whole too.
  testEveryCut(`reports ${told.join() || 'nothing'} at ${shown}`, (cut) => {
    const [events, reader] = create()
    assert.equal(reader.isBetweenResponses, true)
    assert.equal(observe(reader, cut.split(octets)), true)
    assert.deepEqual(events.told, told)
    assert.equal(reader.isBetweenResponses, isOver)
  })

  if (isOver)
    testEveryCut(`reads the next response behind ${shown}`, (cut: Cut) => {
      const [events, reader] = create()
      const behind = isShort(octets)
        ? `* 1 EXISTS\r\n${octets}b NO\r\n+ x\r\nc OK\r\n`
        : `${octets}b NO\r\n+ x\r\nc OK\r\n`
      assert.equal(observe(reader, cut.split(behind)), true)
      assert.deepEqual(events.told, [...told, 'b NO', '+', 'c OK'])
      assert.equal(reader.isBetweenResponses, true)
    })
}

function create(refuses?: string, soleTag?: string): [Events, ResponseReader] {
  const events = new Events(refuses, soleTag)
  return [events, new ResponseReader(events)]
}

for (const octets of ['a OK\r\n', 'a NO\r\n', '* BAD x\r\n', '+ x\r\n', 'hello\r\n'])
  testEveryCut(`stops where ${JSON.stringify(octets)} cannot be followed`, (cut) => {
    const report = { '*': '* BAD', '+': '+', h: 'garbage' }[octets[0] ?? ''] ?? octets.slice(0, 4)
    const [events, reader] = create(report)
    assert.equal(observe(reader, cut.split(`* 1 EXISTS\r\n${octets}b OK\r\n`)), false)
    assert.deepEqual(events.told, [report])
  })

testEveryCut('reads status lines whose text ends in a brace in the middle of a long answer', (cut) => {
  const lines = '* OK x {9}\r\n* LIST {4}\r\na OK\r\n* 1 FETCH (X {7}\r\n\na OK\r\n)\r\n* NO }\r\n'
  const [events, reader] = create(undefined, 'a')
  assert.equal(observe(reader, cut.split(`${lines}a OK\r\n`)), true)
  assert.deepEqual(events.told, ['a OK'])
})

/** More than the reader takes line by line. */
const LONG = '* 1 FETCH (FLAGS (\\Seen))\r\n'.repeat(200)
const LITERAL = '* 1 FETCH (X {10}\r\n\na OK x\r\n\n)\r\n'

for (const [what, octets, told] of [
  ['the answer', `${LONG}a OK\r\n`, ['a OK']],
  ['an answer and a line behind it', `${LONG}a NO x\r\n* 3 EXISTS\r\n`, ['a NO']],
  ['a literal', `${LONG}${LITERAL}a OK\r\n`, ['a OK']],
  ['literals in each line', `${LITERAL.repeat(200)}a BAD\r\n`, ['a BAD']],
  ['a literal first', `${LITERAL}${LONG}${LITERAL}${LONG}a OK\r\n`, ['a OK']],
  ['the end of what has come', LONG, []],
  ['braces at line ends of the text', `${LONG}* OK }\r\n* NO {5}\r\n${LONG}a OK\r\n`, ['a OK']],
  ['a brace in the middle of a line', `* 1 FETCH (X "}" Y "{3}")\r\n${LONG}a OK }\r\n`, ['a OK']],
  ['a literal of a line that ends in a bare LF', `${LONG}* X {6}\na OK\n\n${LONG}a OK\n`, ['a OK']],
  ['two answers', `${LONG}a OK\r\n${LONG}a NO\r\n`, ['a OK', 'a NO']],
  ['a literal of more than the rest', `${LONG}* X {9999}\r\na OK\r\n`, []],
] as const)
  test(`leaps over a long list to ${what}, however it is cut`, () => {
    for (const size of [1000, 2048, 2049, 3000, 4096, octets.length]) {
      const [events, reader] = create(undefined, 'a')
      const pieces = Array.from({ length: Math.ceil(octets.length / size) }, (_, index) =>
        octets.slice(index * size, (index + 1) * size),
      )
      assert.equal(observe(reader, pieces), true)
      assert.deepEqual(events.told, told, `pieces of ${size}`)
    }
  })

test('finds the next LF near and far', () => {
  for (const at of [0, 1, 46, 47, 48, 49, 50, 200]) {
    const chunk = Buffer.from(`${'x'.repeat(at)}\nyy\n`)
    assert.equal(findLf(chunk, 0), at)
    assert.equal(findLf(chunk, at), at)
    assert.equal(findLf(chunk, at + 1), at + 3)
    assert.equal(findLf(chunk, at + 4), -1)
    assert.equal(findLf(Buffer.from('x'.repeat(at)), 0), -1)
  }
})
