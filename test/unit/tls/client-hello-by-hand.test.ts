/** A ClientHello that is made by hand: what it may leave out, what it is refused for, and at which byte; whole and in pieces. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ClientHelloError, createClientHelloReader, type ClientHello } from '../../../src/tls/client-hello.ts'
import {
  assertReads,
  extension,
  hello,
  protocols,
  readClientHello,
  serverNames,
  unwrap,
  vector,
  wrap,
} from './client-hello-capture.ts'

const NAME = 'mail.example.test'

function refuses(bytes: Buffer, message?: RegExp): void {
  assert.throws(
    () => readClientHello(bytes),
    (error) => error instanceof ClientHelloError && (message === undefined || message.test(error.message)),
    bytes.toString('hex').slice(0, 200),
  )
}

/** Refused with the last of `bytes`, and not before it. */
function refusesAtTheEndOf(bytes: Buffer, message?: RegExp): void {
  const goesOn = createClientHelloReader()
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(readClientHello(bytes.subarray(0, length)), 'more', `after ${length} bytes`)
    assert.equal(goesOn(bytes.subarray(0, length)), 'more', `in pieces, after ${length} bytes`)
  }
  refuses(bytes, message)
  assert.throws(() => goesOn(bytes), ClientHelloError)
}

describe('a ClientHello made by hand', () => {
  test('may have no extensions, no session, and other lists that we do not look into', () => {
    assertReads(wrap(hello({})), { serverName: undefined, alpn: [] })
    assertReads(wrap(hello({ session: 0, suites: 200, compressions: 255, extensions: [] })), {
      serverName: undefined,
      alpn: [],
    })
  })

  test('gives the name in lower case, wherever its extension stands', () => {
    const grease = extension(0x1a1a, Buffer.alloc(0))
    const padding = extension(21, Buffer.alloc(300))
    const extensions = [
      grease,
      padding,
      protocols('imap'),
      serverNames([0, 'MAIL.Example.test']),
      extension(51, Buffer.alloc(9)),
    ]
    assertReads(wrap(hello({ extensions })), { serverName: NAME, alpn: ['imap'] })
    assertReads(wrap(hello({ extensions: [serverNames([7, '?'], [0, NAME])] })), { serverName: NAME, alpn: [] })
  })

  test('with an address in place of a name has none', () => {
    for (const address of ['192.0.2.1', '::1']) {
      assertReads(wrap(hello({ extensions: [serverNames([0, address])] })), { serverName: undefined, alpn: [] })
    }
  })

  test('is refused for a name that is no host name', () => {
    for (const name of [
      '',
      '.',
      'a..',
      '*.test',
      'a\0b',
      'a b',
      'a/../b',
      '\xc3\xa9',
      'x'.repeat(64),
      'a.'.repeat(127) + 'a',
    ]) {
      refuses(wrap(hello({ extensions: [serverNames([0, name])] })), /host name/)
    }
  })

  test('is refused for two names, and for two extensions of one type', () => {
    refuses(wrap(hello({ extensions: [serverNames([0, 'a.test'], [0, 'b.test'])] })), /two server names/)
    refuses(wrap(hello({ extensions: [serverNames([0, 'a.test']), serverNames([0, 'b.test'])] })), /twice/)
    refuses(wrap(hello({ extensions: [protocols('imap'), protocols('pop3')] })), /twice/)
    refuses(wrap(hello({ extensions: [extension(999, Buffer.of(1)), extension(999, Buffer.of(1))] })), /twice/)
  })

  test('is refused for lists that are empty, or not as long as they say', () => {
    refuses(wrap(hello({ extensions: [extension(0, Buffer.alloc(0))] })))
    refuses(wrap(hello({ extensions: [extension(0, Buffer.of(0, 0))] })), /server names/)
    refuses(
      wrap(hello({ extensions: [extension(0, Buffer.concat([vector(2, Buffer.of(0, 0, 1, 97)), Buffer.of(1)]))] })),
    )
    refuses(wrap(hello({ extensions: [extension(0, vector(2, Buffer.of(0, 0, 2, 97)))] })), /does not fit/)
    refuses(wrap(hello({ extensions: [extension(16, Buffer.of(0, 0))] })), /protocols/)
    refuses(wrap(hello({ extensions: [protocols('')] })), /without a name/)
    refuses(wrap(hello({ extensions: [extension(16, vector(2, Buffer.of(5, 97)))] })), /does not fit/)
    refuses(wrap(hello({ session: 33 })), /session/)
    refuses(wrap(hello({ suites: 0 })), /suites/)
    refuses(wrap(hello({ suites: 3 })), /suites/)
    refuses(wrap(hello({ compressions: 0 })), /compression/)
    refuses(wrap(hello({ rest: Buffer.of(0) })), /does not fit/)
    refuses(wrap(hello({ extensions: [], rest: Buffer.of(0) })), /behind/)
    refuses(wrap(hello({ rest: Buffer.from('00050000', 'hex') })), /does not fit/)
  })

  test('is refused at the first byte that it cannot have', () => {
    const hex = (text: string): Buffer => Buffer.from(text, 'hex')
    refusesAtTheEndOf(hex('15')) // an alert
    refusesAtTheEndOf(hex('80')) // SSL 2
    refusesAtTheEndOf(Buffer.from('a'), /not a TLS handshake/)
    refusesAtTheEndOf(hex('1602'), /version/)
    refusesAtTheEndOf(hex('16030141'), /too long a TLS record/)
    refusesAtTheEndOf(hex('1603014001'), /too long a TLS record/)
    refusesAtTheEndOf(hex('1603010000'), /empty/)
    refusesAtTheEndOf(hex('160301001002'), /ClientHello/)
    refusesAtTheEndOf(hex('16030100100101'), /does not fit/)
    refusesAtTheEndOf(hex('1603010010010040'), /does not fit/)
    refusesAtTheEndOf(hex('16030100100100000b'), /more than the ClientHello/)
    refusesAtTheEndOf(hex('160301400001000100'), /more than the ClientHello/)
    refusesAtTheEndOf(hex('160301010001000' + '0fc02'), /unknown TLS version/)
    const head = '160301010001000' + '0fc0303' + 'aa'.repeat(32)
    refusesAtTheEndOf(hex(`${head}21`), /session/)
    refusesAtTheEndOf(hex(`${head}0002`), /does not fit/)
    refusesAtTheEndOf(hex(`${head}000003`), /cipher suites/)
    // Between two records of the message, one of another type.
    refusesAtTheEndOf(hex('160301000101' + '14'), /not a TLS handshake/)
  })

  test('is not waited for beyond 16 KiB, however its records are cut', () => {
    const endless = (size: number): Buffer => wrap(hello({ extensions: [extension(21, Buffer.alloc(16_000))] }), size)
    assert.notEqual(readClientHello(endless(16_384)), 'more')
    const bytes = endless(1)
    assert.equal(readClientHello(bytes.subarray(0, 16 * 1024 - 1)), 'more')
    refuses(bytes.subarray(0, 16 * 1024), /no complete ClientHello/)
    refuses(bytes, /no complete ClientHello/)
    refuses(wrap(hello({ extensions: [extension(21, Buffer.alloc(17_000))] })), /does not fit/)
  })
})

describe('a ClientHello that comes in pieces', () => {
  /** What a reader says that has been given the bytes up to each of `ends`, in order, and stops where it is decided. */
  function readInPieces(bytes: Buffer, ends: readonly number[]): 'more' | 'refused' | ClientHello {
    const read = createClientHelloReader()
    try {
      for (const end of [...ends, bytes.length]) {
        const answer = read(bytes.subarray(0, end))
        if (answer !== 'more') return answer
      }
      return 'more'
    } catch (error) {
      assert.ok(error instanceof ClientHelloError, String(error))
      return 'refused'
    }
  }

  test('is read as one that comes whole, wherever it is cut, in records and with changed bytes', () => {
    const message = unwrap(wrap(hello({ extensions: [serverNames([0, NAME]), protocols('imap', 'pop3')] })))
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 2 }),
        fc.array(fc.nat({ max: 400 }), { maxLength: 12 }),
        (sizes, changes, cuts) => {
          const bytes = wrap(message, ...sizes)
          for (const [at, byte] of changes) bytes.writeUInt8(byte, at % bytes.length)
          const ends = cuts.map((cut) => Math.min(cut, bytes.length)).sort((one, other) => one - other)
          const inPieces = readInPieces(bytes, ends)
          const byByte = readInPieces(bytes, [...bytes.keys()])
          assert.deepEqual(inPieces, readInPieces(bytes, []))
          assert.deepEqual(byByte, inPieces)
        },
      ),
      { numRuns: 1000 },
    )
  })

  // Reading again from the first byte takes 4.6 s of CPU for this one.
  test('takes time in proportion to its length, byte by byte in records of one byte', () => {
    const bytes = wrap(hello({ extensions: [extension(21, Buffer.alloc(16_000))] }), 1)
    const read = createClientHelloReader()
    const before = process.cpuUsage()
    for (let length = 1; length < 16 * 1024; length++) assert.equal(read(bytes.subarray(0, length)), 'more')
    assert.throws(() => read(bytes.subarray(0, 16 * 1024)), ClientHelloError)
    const { user, system } = process.cpuUsage(before)
    assert.ok(user + system < 1_500_000, `${user + system} µs`)
  })
})
