/**
 * Words before login by which clients send without waiting: they hold in the session too, where the store reads what is sent. Courier
 * has no LITERAL+ and takes the text of a mail for commands.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCapabilityBook } from '../../../src/backend/capabilities.ts'
import { protocols } from '../../../src/protocol/protocols.ts'
import { buildOffer } from '../../../src/session/offer.ts'
import { MemoryWire } from '../../support/memory-wire.ts'
import { backendsOf, keepLog } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

/** What a client is told where the back ends have announced so when they were asked. */
async function toldToClient(
  name: 'imap' | 'pop3',
  said: readonly (readonly string[])[],
  capability?: string,
): Promise<string[]> {
  const protocol = protocols[name]
  const book = createCapabilityBook(keepLog().log)
  for (const [index, words] of said.entries()) {
    const wire = new MemoryWire('backend')
    const asked = protocol.askCapabilities(wire, false)
    if (name === 'imap') await wire.send(`* OK [CAPABILITY ${words.join(' ')}] ready\r\n`)
    else await wire.send(`+OK ready\r\n+OK\r\n${words.map((word) => `${word}\r\n`).join('')}.\r\n`)
    book.learn(name, `store${index}`, await asked)
  }
  const backends = backendsOf(...said.map((_, index) => ({ name: `store${index}` })))
  const offer = buildOffer(listenerSettings({ protocol: name, capability }), backends, book)
  const client = new MemoryWire('client', { secure: true })
  const dialogue = protocol.openDialogue(client, {
    banner: 'the banner',
    product: 'mailmux',
    startTlsOffered: false,
    allowPlaintextAuth: false,
    ...offer,
    maxLineBytes: 8192,
    maxBadCommands: 3,
    maxWrongPasswords: 5,
  })
  const ended = dialogue.awaitLogin()
  await client.send(name === 'imap' ? 'a CAPABILITY\r\na LOGOUT\r\n' : 'CAPA\r\nQUIT\r\n')
  await ended
  return client.written.split(name === 'imap' ? ' ' : '\r\n')
}

const literals = async (...said: string[][]): Promise<string[]> =>
  (await toldToClient('imap', said)).filter((word) => /^LITERAL/i.test(word))

test('announces non-synchronising literals where every store takes them, as far as every store does', async () => {
  const [plus, minus, none, rev2] = [
    ['IMAP4rev1', 'LITERAL+'],
    ['IMAP4rev1', 'LITERAL-'],
    ['IMAP4rev1'],
    ['IMAP4rev1', 'IMAP4rev2'],
  ]
  assert.deepEqual(await literals(plus), ['LITERAL+'])
  assert.deepEqual(await literals(plus, plus), ['LITERAL+'])
  assert.deepEqual(await literals(['imap4rev1', 'literal+']), ['LITERAL+'])
  assert.deepEqual(await literals(plus, minus), ['LITERAL-'])
  assert.deepEqual(await literals(minus, minus), ['LITERAL-'])
  // RFC 9051 appendix E: LITERAL- is a part of IMAP4rev2
  assert.deepEqual(await literals(plus, rev2), ['LITERAL-'])
  assert.deepEqual(await literals(none), [])
  assert.deepEqual(await literals(plus, none), [])
  assert.deepEqual(await literals(minus, none, plus), [])
  assert.deepEqual(await literals(), [])
})

test('announces the literals of the operator’s own list', async () => {
  for (const word of ['LITERAL+', 'LITERAL-', '']) {
    const told = await toldToClient('imap', [['IMAP4rev1', 'LITERAL+']], `IMAP4rev1 IDLE ${word}`.trim())
    assert.deepEqual(
      told.filter((one) => one.startsWith('LITERAL')),
      word === '' ? [] : [word],
    )
  }
})

test('announces pipelining where every store takes it', async () => {
  const has = async (...said: string[][]): Promise<boolean> => (await toldToClient('pop3', said)).includes('PIPELINING')
  assert.equal(await has(['TOP', 'PIPELINING']), true)
  assert.equal(await has(['PIPELINING'], ['TOP', 'pipelining']), true)
  assert.equal(await has(['TOP', 'PIPELINING'], ['TOP']), false)
  assert.equal(await has(['TOP']), false)
  assert.equal(await has(), false)
})
