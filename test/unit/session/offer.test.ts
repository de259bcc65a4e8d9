import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCapabilityBook } from '../../../src/backend/capabilities.ts'
import type { BackendSettings, ListenerSettings, ProtocolName } from '../../../src/config/settings.ts'
import { asOctets } from '../../../src/octets.ts'
import { splitCapability } from '../../../src/protocol/pop3/capability.ts'
import { Secret } from '../../../src/secret.ts'
import { buildOffer, createOffers, type Offer } from '../../../src/session/offer.ts'
import { backendsOf, keepLog } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

const MASTER = { user: 'admin', secret: new Secret(asOctets('s')), separator: undefined }

const FULL = {
  imap: [
    'IMAP4rev1',
    'SASL-IR',
    'IDLE',
    ...['PLAIN', 'SCRAM-SHA-256', 'XOAUTH2', 'EXTERNAL'].map((name) => `AUTH=${name}`),
  ],
  pop3: ['TOP', 'UIDL', 'SASL PLAIN SCRAM-SHA-256 XOAUTH2 EXTERNAL', 'USER'].flatMap(splitCapability),
}
const LESS = {
  imap: ['IMAP4rev1', 'IDLE', 'MOVE', 'AUTH=XOAUTH2'],
  pop3: ['UIDL', 'UTF8', 'SASL XOAUTH2'],
}

/** What is offered where the back ends have said so; undefined: one was never reached. */
function offerOf(
  protocol: ProtocolName,
  listener: Partial<ListenerSettings>,
  said: Record<string, readonly string[] | undefined>,
  settings: Record<string, Partial<BackendSettings>> = {},
): Offer {
  const book = createCapabilityBook(keepLog().log)
  for (const [name, words] of Object.entries(said)) if (words) book.learn(protocol, name, words)
  const backends = backendsOf(...Object.keys(said).map((name) => ({ name, ...settings[name] })))
  return buildOffer(listenerSettings({ protocol, ...listener }), backends, book)
}

for (const protocol of ['imap', 'pop3'] as const) {
  const [full, less] = [FULL[protocol], LESS[protocol]]

  test(`${protocol} offers what a password is enough for, and what the back ends can take`, () => {
    const { mechanisms } = offerOf(protocol, {}, { a: full })
    assert.deepEqual(mechanisms, ['PLAIN', 'LOGIN', 'XOAUTH2', 'SCRAM-SHA-256'])
  })

  test(`${protocol} offers passwords where no back end was ever reached, and announces nothing`, () => {
    const { mechanisms, announced } = offerOf(protocol, {}, { a: undefined })
    assert.deepEqual(mechanisms, ['PLAIN', 'LOGIN'])
    assert.deepEqual(announced, [])
  })

  test(`${protocol} offers passwords even where a back end has no word for them`, () => {
    assert.deepEqual(offerOf(protocol, {}, { a: [] }).mechanisms, ['PLAIN', 'LOGIN'])
  })

  test(`${protocol} does not offer a mechanism that one back end lacks`, () => {
    const { mechanisms } = offerOf(protocol, {}, { a: full, b: [] })
    assert.deepEqual(mechanisms, ['PLAIN', 'LOGIN'])
  })

  test(`${protocol} does not count back ends of the other protocol`, () => {
    const other = protocol === 'imap' ? { pop3: 110 } : { imap: 143 }
    const { mechanisms } = offerOf(protocol, {}, { a: full, b: [] }, { b: { ports: other } })
    assert.deepEqual(mechanisms, ['PLAIN', 'LOGIN', 'XOAUTH2', 'SCRAM-SHA-256'])
  })

  test(`${protocol} offers what its listener names at most, in the listener’s order`, () => {
    const mechanisms = ['SCRAM-SHA-256', 'OAUTHBEARER', 'PLAIN'] as const
    assert.deepEqual(offerOf(protocol, { mechanisms }, { a: full }).mechanisms, ['SCRAM-SHA-256', 'PLAIN'])
    assert.deepEqual(offerOf(protocol, { mechanisms: ['XOAUTH2'] }, { a: [] }).mechanisms, [])
  })

  test(`${protocol} takes EXTERNAL for its own matter: it needs a rule for names, and a master user`, () => {
    const offers = (listener: Partial<ListenerSettings>, settings: Partial<BackendSettings>): boolean =>
      offerOf(protocol, listener, { a: [] }, { a: settings }).mechanisms.includes('EXTERNAL')
    assert.equal(offers({ clientUser: '%{cn}' }, { master: MASTER }), true)
    assert.equal(offers({ clientUser: '%{cn}' }, {}), false)
    assert.equal(offers({}, { master: MASTER }), false)
    assert.equal(offers({ clientUser: '%{cn}', mechanisms: ['PLAIN'] }, { master: MASTER }), false)
    assert.equal(offerOf(protocol, {}, { a: full }).mechanisms.includes('EXTERNAL'), false)
  })

  test(`${protocol} counts no master user of a back end that does not serve it`, () => {
    const other = protocol === 'imap' ? { pop3: 110 } : { imap: 143 }
    const { mechanisms } = offerOf(
      protocol,
      { clientUser: '%{cn}' },
      { a: full, b: [] },
      { b: { ports: other, master: MASTER } },
    )
    assert.equal(mechanisms.includes('EXTERNAL'), false)
  })

  test(`${protocol} announces what speaks of sessions and holds on every back end`, () => {
    const { announced } = offerOf(protocol, {}, { a: full, b: less, c: undefined })
    assert.deepEqual(announced, protocol === 'imap' ? ['IDLE'] : ['UIDL'])
  })

  test(`${protocol} announces the operator’s own list in its place, and offers the same mechanisms`, () => {
    const { announced, mechanisms } = offerOf(protocol, { capability: 'ONE TWO=3' }, { a: full })
    assert.deepEqual(announced, ['ONE', 'TWO=3'])
    assert.deepEqual(mechanisms, ['PLAIN', 'LOGIN', 'XOAUTH2', 'SCRAM-SHA-256'])
  })
}

test('imap offers a mechanism that every back end has, whatever else each has', () => {
  const said = { a: FULL.imap, b: ['IMAP4rev1', 'auth=xoauth2', 'AUTH=CRAM-MD5'] }
  assert.deepEqual(offerOf('imap', {}, said).mechanisms, ['PLAIN', 'LOGIN', 'XOAUTH2'])
})

test('pop3 offers a mechanism that every back end has, in whatever order each says so', () => {
  const said = {
    a: ['SASL PLAIN XOAUTH2 SCRAM-SHA-1'].flatMap(splitCapability),
    b: ['SASL SCRAM-SHA-1 CRAM-MD5 xoauth2', 'STLS'].flatMap(splitCapability),
  }
  assert.deepEqual(offerOf('pop3', {}, said).mechanisms, ['PLAIN', 'LOGIN', 'XOAUTH2', 'SCRAM-SHA-1'])
})

test('pop3 announces UTF8 where every back end takes it, whatever each says behind it', () => {
  const said = { a: splitCapability('UTF8 USER'), b: splitCapability('utf8') }
  assert.deepEqual(offerOf('pop3', {}, said).announced, ['UTF8'])
})

test('a listener offers the same until a back end says something new, and another listener its own', () => {
  const book = createCapabilityBook(keepLog().log)
  const offers = createOffers(book)
  const backends = backendsOf({ name: 'a' })
  const [plain, narrow] = [listenerSettings({}), listenerSettings({ mechanisms: ['PLAIN'] })]
  const before = offers(plain, backends)
  assert.equal(offers(plain, backends), before)
  book.learn('imap', 'a', FULL.imap)
  assert.ok(offers(plain, backends).mechanisms.includes('XOAUTH2'))
  assert.deepEqual(offers(narrow, backends).mechanisms, ['PLAIN'])
})
