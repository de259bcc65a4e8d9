/** Whatever a client or a back end sends: dialogues end, and with nothing but a MuxError. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BYTE_BY_BYTE, WHOLE, atRandom } from '../support/splits.ts'
import { openCase, replayCase } from './play.ts'

const WORDS = [
  ...['a', '*', '+', 'A', ' ', '\r\n', '\r\n', '\n', '\0', '\xff', '"', '\\', '(', ')', '=', '.', '{', '}'],
  ...[
    '{1}',
    '{2+}',
    '{0+}',
    '{5000+}',
    '{99999999999999999999+}',
    '[',
    ']',
    '-ERR',
    '+OK',
    '* OK ',
    'NO',
    'BYE',
    'BAD',
  ],
  ...['CAPABILITY', 'IMAP4rev1', 'AUTH=PLAIN', 'SASL-IR', 'LOGIN', 'AUTHENTICATE', 'PLAIN', 'AGEAYg==', 'ID', 'NIL'],
  ...[
    'STARTTLS',
    'STLS',
    'USER',
    'PASS',
    'AUTH',
    'CAPA',
    'NOOP',
    'OK',
    '"SASL" "PLAIN"',
    '"STARTTLS"',
    'OK (SASL "',
    'SASL PLAIN',
    'QUIT',
    'LOGOUT',
    'x'.repeat(200),
  ],
]

const octets = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
const input = fc.array(fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...WORDS) }, octets), { maxLength: 40 })
const cut = fc.oneof(fc.constant(WHOLE), fc.constant(BYTE_BY_BYTE), fc.nat().map(atRandom))

for (const protocol of ['imap', 'pop3', 'managesieve'] as const) {
  test(`${protocol} facing a client that sends anything ends with the input, and with nothing but a MuxError`, () =>
    fc.assert(
      fc.asyncProperty(input, cut, fc.boolean(), async (words, how, secure) => {
        const { wire, ended } = openCase(how, protocol, {
          secure,
          greet: true,
          facts: { startTlsOffered: true, maxLineBytes: 128, maxBadCommands: 6 },
        })
        await wire.send(words.join(''))
        await wire.end()
        assert.notEqual(await ended, 'internal', wire.complaint('a defect').message)
        // A tag of NOOP is the client's own, and comes back as it is.
        const written = wire.written.replace(/\(TAG [^]*?\) "Done\."/g, '')
        for (const line of written.split('\r\n')) assert.match(line, /^[\x20-\x7e]*$/)
      }),
      { numRuns: 400 },
    ))

  test(`${protocol} facing a back end that sends anything ends with the input, and with nothing but a MuxError`, () =>
    fc.assert(
      fc.asyncProperty(input, cut, fc.boolean(), async (words, how, startTls) => {
        const { wire, ended } = replayCase(how, protocol, { login: { startTls } })
        await wire.send(words.join(''))
        await wire.end()
        assert.notEqual(await ended, 'internal', wire.complaint('a defect').message)
      }),
      { numRuns: 400 },
    ))
}
