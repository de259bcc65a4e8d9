/** The ClientHello of real clients, captured: read whole, byte by byte, in records of any size, and with changed bytes. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import { ClientHelloError, type ClientHello } from '../../../src/tls/client-hello.ts'
import {
  assertReads,
  captureNode,
  captureOpenssl,
  hello,
  protocols,
  readClientHello,
  serverNames,
  unwrap,
  wrap,
} from './client-hello-capture.ts'

const NAME = 'mail.example.test'
const MANY_PROTOCOLS = Array.from({ length: 60 }, (_, index) => `protocol-number-${index}`)

type Client = { what: string; capture: () => Promise<Buffer>; expected: ClientHello; isLarge?: true }

const CLIENTS: Client[] = [
  {
    what: 'node, TLS 1.2 alone, with a name',
    capture: () => captureNode({ servername: 'Mail.Example.TEST', maxVersion: 'TLSv1.2' }),
    expected: { serverName: NAME, alpn: [] },
  },
  {
    what: 'node, TLS 1.3 alone, with a name and protocols',
    capture: () => captureNode({ servername: NAME, minVersion: 'TLSv1.3', ALPNProtocols: ['imap', 'pop3'] }),
    expected: { serverName: NAME, alpn: ['imap', 'pop3'] },
  },
  {
    what: 'node, without a name',
    capture: () => captureNode({}),
    expected: { serverName: undefined, alpn: [] },
  },
  {
    what: 'node, post-quantum keys',
    capture: () => captureNode({ servername: NAME, ecdhCurve: 'X25519MLKEM768:X25519:P-256', ALPNProtocols: ['imap'] }),
    expected: { serverName: NAME, alpn: ['imap'] },
    isLarge: true,
  },
  {
    what: 'node, many protocols',
    capture: () => captureNode({ servername: NAME, ALPNProtocols: MANY_PROTOCOLS }),
    expected: { serverName: NAME, alpn: MANY_PROTOCOLS },
    isLarge: true,
  },
  {
    what: 'openssl, TLS 1.2 alone, without a name',
    capture: () => captureOpenssl('-tls1_2', '-noservername'),
    expected: { serverName: undefined, alpn: [] },
  },
  {
    what: 'openssl, TLS 1.3 alone, with a name and a protocol',
    capture: () => captureOpenssl('-tls1_3', '-servername', NAME, '-alpn', 'imap'),
    expected: { serverName: NAME, alpn: ['imap'] },
  },
  {
    what: 'openssl, many extensions',
    capture: () =>
      captureOpenssl(
        '-servername',
        NAME,
        '-status',

        '-use_srtp',
        'SRTP_AES128_CM_SHA1_80',
        '-legacy_renegotiation',
      ),
    expected: { serverName: NAME, alpn: [] },
  },
]

describe('real clients', () => {
  const captured = new Map<Client, Buffer>()

  before(async () => {
    for (const client of CLIENTS) captured.set(client, await client.capture())
  })

  for (const client of CLIENTS) {
    const { what, expected, isLarge } = client
    test(`${what}: read whole, and byte by byte`, () => {
      const bytes = captured.get(client)!
      if (isLarge) assert.ok(bytes.length > 1000, `only ${bytes.length} bytes`)
      assertReads(bytes, expected)
    })

    test(`${what}: read in records of any size`, () => {
      const message = unwrap(captured.get(client)!)
      for (const size of [1, 2, 3, 4, 5, 7, 64, 255, 256, message.length - 1, message.length]) {
        const bytes = wrap(message, size)
        assert.deepEqual(readClientHello(bytes), expected, `records of ${size}`)
        for (let length = 0; length < bytes.length; length += size < 5 ? 97 : 1) {
          assert.equal(readClientHello(bytes.subarray(0, length)), 'more')
        }
        assert.equal(readClientHello(bytes.subarray(0, -1)), 'more')
      }
      fc.assert(
        fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), fc.nat(), (sizes, cut) => {
          const bytes = wrap(message, ...sizes)
          assert.deepEqual(readClientHello(bytes), expected)
          assert.equal(readClientHello(bytes.subarray(0, cut % bytes.length)), 'more')
        }),
      )
    })

    test(`${what}: with changed bytes, is still read, awaited or refused, and nothing else is ever thrown`, () => {
      const original = captured.get(client)!
      const change = fc.tuple(fc.nat(), fc.nat({ max: 255 }))
      const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 })
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), sizes, fc.boolean(), (changes, sizes, inside) => {
          // In the message, with its records made anew; or in the bytes as they came, record heads and all.
          const bytes = Buffer.from(inside ? unwrap(original) : original)
          for (const [at, byte] of changes) bytes.writeUInt8(byte, at % bytes.length)
          assertBounded(inside ? wrap(bytes, ...sizes) : bytes)
        }),
        { numRuns: 500 },
      )
    })
  }
})

/** Whatever the bytes are: an answer of the right shape or an error of the right class, and at once. */
function assertBounded(bytes: Buffer): void {
  try {
    const answer = readClientHello(bytes)
    if (answer === 'more') return
    assert.ok(answer.serverName === undefined || /^[a-z0-9_.-]{1,253}$/.test(answer.serverName))
    assert.ok(answer.alpn.every((name) => name.length > 0 && name.length < 256))
  } catch (error) {
    assert.ok(error instanceof ClientHelloError, String(error))
  }
}

describe('any bytes', () => {
  test('are read, awaited or refused, and nothing else is ever thrown', () => {
    const starts = fc.constantFrom('', '16', '160301', '1603010200010001fc0303', '160303004001000038')
    fc.assert(
      fc.property(starts, fc.uint8Array({ maxLength: 600 }), (start, rest) => {
        assertBounded(Buffer.concat([Buffer.from(start, 'hex'), rest]))
      }),
      { numRuns: 1000 },
    )
  })

  test('once refused stay refused, and once read stay read, whatever follows', () => {
    const base = wrap(hello({ session: 0, extensions: [serverNames([0, NAME]), protocols('imap')] }), 30)
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 }),
        fc.uint8Array(),
        (changes, rest) => {
          const bytes = Buffer.concat([base, rest])
          for (const [at, byte] of changes) bytes.writeUInt8(byte, at % bytes.length)
          const answers = Array.from({ length: bytes.length + 1 }, (_, length) => {
            try {
              return readClientHello(bytes.subarray(0, length))
            } catch (error) {
              assert.ok(error instanceof ClientHelloError)
              return 'refused'
            }
          })
          const decided = answers.findIndex((answer) => answer !== 'more')
          if (decided === -1) return
          for (const later of answers.slice(decided)) assert.deepEqual(later, answers[decided])
        },
      ),
      { numRuns: 500 },
    )
  })
})
