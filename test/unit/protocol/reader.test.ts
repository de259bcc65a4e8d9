/** Lines with literals as IMAP (RFC 9051 4.3, RFC 7888) and ManageSieve (RFC 5804 4) have them, in whatever pieces they arrive. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  parseStrings,
  piecesOf,
  readLiterals,
  type LinesWithLiterals,
  type LiteralLimits,
} from '../../../src/protocol/reader.ts'
import { asOctets } from '../../../src/octets.ts'
import { MemoryWire } from '../../support/memory-wire.ts'
import { testEveryCut, WHOLE, type Cut } from '../../support/splits.ts'

const LIMITS: LiteralLimits = { literalBytes: 8, lineBytes: 20, allBytes: 40 }

type Told = { bytes: number; synchronising: boolean; fits: boolean }
type Read = { read: LinesWithLiterals | undefined; told: Told[]; unread: string }

/** Reads one line and its literals from a client that sends `input` and goes. `refuses` the literal of that number, from 0. */
async function readFrom(input: string, cut: Cut = WHOLE, limits = LIMITS, refuses = Infinity): Promise<Read> {
  const wire = new MemoryWire('client', { cut, secure: true })
  const told: Told[] = []
  const reading = wire.readLine(100).then((line) =>
    readLiterals(wire, line, limits, ({ bytes, synchronising }, fits) => {
      told.push({ bytes, synchronising, fits })
      return told.length <= refuses
    }),
  )
  const settled = reading.then(
    (read) => read,
    () => undefined, // the caller gets it from `reading`; here it must not be unhandled
  )
  await wire.send(input)
  await wire.end()
  await settled
  return { read: await reading, told, unread: wire.detach() }
}

describe('a line with literals', () => {
  testEveryCut('is read to the end of its last line, and no further', async (cut) => {
    const { read, told, unread } = await readFrom('LOGIN {5} {3+}\r\nali ce {0+}\r\n\r\nNOOP\r\n', cut)
    assert.deepEqual(read, { lines: ['LOGIN {5} {3+}', ' ce {0+}', ''], literals: ['ali', ''] })
    assert.deepEqual(told, [
      { bytes: 3, synchronising: false, fits: true },
      { bytes: 0, synchronising: false, fits: true },
    ])
    assert.equal(unread, 'NOOP\r\n')
  })

  testEveryCut('keeps every octet of a literal, line ends and markers too', async (cut) => {
    const { read } = await readFrom('x {8}\r\n\r\n\0\xff{2}\r\r\n', cut)
    assert.deepEqual(read, { lines: ['x {8}', ''], literals: ['\r\n\0\xff{2}\r'] })
  })

  test('without literals is itself', async () => {
    const { read, told } = await readFrom('AUTHENTICATE "PLAIN" "{3}"\r\n')
    assert.deepEqual(read, { lines: ['AUTHENTICATE "PLAIN" "{3}"'], literals: [] })
    assert.deepEqual(told, [])
  })

  test('is given up where a literal is refused, and the octets stay unread', async () => {
    const { read, told, unread } = await readFrom('x {3}\r\nabc {9}\r\nrest', WHOLE, LIMITS, 1)
    assert.equal(read, undefined)
    assert.deepEqual(
      told.map(({ fits }) => fits),
      [true, false],
    )
    assert.equal(unread, 'rest')
  })

  test('reports a literal that is too long by itself, or together with the text before it', async () => {
    for (const [input, fits] of [
      ['x {8}\r\n', true],
      ['x {9}\r\n', false],
      [`${'x'.repeat(29)}{8}\r\n`, true],
      [`${'x'.repeat(30)}{8}\r\n`, false],
      ['x {99999999999999999999}\r\n', false],
    ] as const) {
      const { told } = await readFrom(input, WHOLE, LIMITS, 0)
      assert.equal(told[0]?.fits, fits, input)
    }
  })

  test('ends the connection where a line behind a literal is too long by itself, or all of it is', async () => {
    // The CR of the line end counts.
    const tooLong = { code: 'client-line-too-long' }
    await readFrom(`x {3}\r\nabc${'y'.repeat(19)}\r\n`)
    await assert.rejects(readFrom(`x {3}\r\nabc${'y'.repeat(20)}\r\n`), tooLong)
    await readFrom(`${'x'.repeat(24)}{3}\r\nabc${'y'.repeat(9)}\r\n`)
    await assert.rejects(readFrom(`${'x'.repeat(24)}{3}\r\nabc${'y'.repeat(10)}\r\n`), tooLong)
  })
})

test('strings are the same bare, in quotes and as literals', () => {
  const pieces = piecesOf({ lines: ['PLAIN "a \\"b\\"" {4+}', ' "c" {0}', ''], literals: ['{3}\r', ''].map(asOctets) })
  assert.deepEqual(parseStrings(pieces), ['PLAIN', 'a "b"', '{3}\r', 'c', ''])
  assert.equal(parseStrings([{ text: '"a""b"' }]), undefined)
  assert.equal(parseStrings([{ text: '"a' }]), undefined)
})
