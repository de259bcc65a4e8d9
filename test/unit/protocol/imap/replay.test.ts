/** How a login is said to an IMAP back end at the limits of what servers take in one line (RFC 4959, RFC 7888 5), and in which order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asOctets } from '../../../../src/octets.ts'
import type { BackendLogin } from '../../../../src/protocol/protocol.ts'
import { Secret } from '../../../../src/secret.ts'
import { byPassword, identity, replay } from '../../../support/replay-lines.ts'

const base64 = (octets: string): string => Buffer.from(octets, 'latin1').toString('base64')

test('sends an initial response of 4,096 octets with the command, and a longer one in a line of its own', async () => {
  const says = ['* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] x', '+ ', 'A OK [CAPABILITY IMAP4rev1] in']
  const longest = 'x'.repeat(3065)
  const message = base64(`\0alice\0${longest}`)
  assert.equal(message.length, 4096)
  const { wire } = await replay('imap', { login: { credentials: byPassword(longest) }, says })
  assert.deepEqual(wire.written, [`A AUTHENTICATE PLAIN ${message}\r\n`])
  const { wire: longer } = await replay('imap', { login: { credentials: byPassword(`${longest}x`) }, says })
  assert.deepEqual(longer.written, ['A AUTHENTICATE PLAIN\r\n', `${base64(`\0alice\0${longest}x`)}\r\n`])
})

for (const offer of ['LITERAL-', 'LITERAL+', 'IMAP4rev2'])
  test(`sends a literal of 4,096 octets unasked where ${offer} is offered, and a longer one when asked`, async () => {
    const says = [`* OK [CAPABILITY IMAP4rev1 ${offer}] x`, '+ go', 'A OK [CAPABILITY IMAP4rev1] in']
    const longest = '\xe4'.repeat(4096)
    const { wire } = await replay('imap', { login: { credentials: byPassword(longest) }, says })
    assert.deepEqual(wire.written, [`A LOGIN "alice" {4096+}\r\n${longest}\r\n`])
    const { wire: longer } = await replay('imap', { login: { credentials: byPassword(`${longest}x`) }, says })
    assert.deepEqual(longer.written, ['A LOGIN "alice" {4097}\r\n', `${longest}x\r\n`])
  })

test('guards a session where UNAUTHENTICATE was announced before the login alone', async () => {
  for (const [words, mode] of [
    ['UNAUTHENTICATE', 'guard'],
    ['X-UNAUTHENTICATE', 'observe'],
  ] as const) {
    const says = [`* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN ${words}] x`, 'A OK [CAPABILITY IMAP4rev1] in']
    const { answer } = await replay('imap', { says })
    assert.ok('accepted' in answer && answer.accepted)
    assert.equal(answer.watch.mode, mode)
  }
})

const scram = (responses: string[]): Partial<BackendLogin> => ({
  credentials: {
    kind: 'relayed',
    mechanism: 'SCRAM-SHA-1',
    firstMessage: () => new Secret(asOctets('n,,n=a,r=b')),
    converse: (challenge) => Promise.resolve(`${responses.shift() ?? 'none'}-${challenge}`),
  },
})

test('answers the first challenge with the first message where there is no SASL-IR, and hands the others to the client', async () => {
  const { wire } = await replay('imap', {
    login: scram(['one', 'two']),
    says: ['* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-1] x', '+', '+ YQ==', '+Yg==', 'A OK [CAPABILITY IMAP4rev1] in'],
  })
  const first = base64('n,,n=a,r=b')
  assert.deepEqual(wire.written, [
    'A AUTHENTICATE SCRAM-SHA-1\r\n',
    ...[`${first}\r\n`, 'one-YQ==\r\n', 'two-Yg==\r\n'],
  ])
})

test('sends ID ahead of the login in one write to a back end that has it, and after TLS alone', async () => {
  const login = { identity }
  const answers = ['* ID NIL', 'I OK', 'A OK [CAPABILITY IMAP4rev1] in']
  const { wire } = await replay('imap', { login, says: ['* OK [CAPABILITY IMAP4rev1 ID] x', ...answers] })
  assert.equal(wire.written.length, 1)
  assert.match(wire.written[0] ?? '', /^I ID \("x-session-id" "s" .*\)\r\nA LOGIN "alice" "secret"\r\n$/)
  const { wire: without } = await replay('imap', { login, says: ['* OK [CAPABILITY IMAP4rev1] x', ...answers] })
  assert.deepEqual(without.written, ['A LOGIN "alice" "secret"\r\n'])
  const says = ['* OK [CAPABILITY IMAP4rev1 ID STARTTLS] x', 'S OK', '* CAPABILITY IMAP4rev1', 'C OK', ...answers]
  const { wire: inTls } = await replay('imap', { login: { ...login, startTls: true }, says })
  assert.deepEqual(inTls.written, [...['S STARTTLS\r\n', '= TLS', 'C CAPABILITY\r\n', 'A LOGIN "alice" "secret"\r\n']])
})
