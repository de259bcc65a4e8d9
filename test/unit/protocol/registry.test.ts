/** The registry's data that peers and operators rely on: ports, names on the wire and in DNS, idle limits, and words that lead past mailmux. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CAPABILITY_PROTOCOLS,
  eachProtocol,
  isCapabilityProtocol,
  listProtocols,
  PROTOCOL_NAMES,
  specOf,
} from '../../../src/protocol/registry.ts'
import { protocols } from '../../../src/protocol/protocols.ts'

const MINUTE_MS = 60_000

/** What is registered with IANA or written in an RFC. */
const FACTS = {
  imap: {
    title: 'IMAP',
    bannerName: 'IMAP4',
    ports: { plain: 143, implicit: 993 },
    alpn: 'imap',
    startTls: 'STARTTLS',
    srvNames: { plain: '_imap', implicit: '_imaps' },
    byDefault: '31m',
    leastMs: 30 * MINUTE_MS,
    rfc: 'RFC 9051 5.4 demands at least 30m',
    longestHoldMs: 45_000,
    identityBy: { command: 'ID', note: 'x-originating-ip and others' },
  },
  pop3: {
    title: 'POP3',
    bannerName: 'POP3',
    ports: { plain: 110, implicit: 995 },
    alpn: 'pop3',
    startTls: 'STLS',
    srvNames: { plain: '_pop3', implicit: '_pop3s' },
    byDefault: '10m',
    leastMs: 10 * MINUTE_MS,
    rfc: 'RFC 1939 3 demands at least 10m',
    longestHoldMs: 25_000,
    identityBy: { command: 'XCLIENT', note: undefined },
  },
  managesieve: {
    title: 'ManageSieve',
    bannerName: 'ManageSieve',
    ports: { plain: 4190, implicit: 4190 },
    alpn: 'managesieve',
    startTls: 'STARTTLS',
    srvNames: undefined,
    byDefault: '31m',
    leastMs: 30 * MINUTE_MS,
    rfc: 'RFC 5804 1.2 demands at least 30m',
    longestHoldMs: 25_000,
    identityBy: { command: 'XCLIENT', note: undefined },
  },
} as const

for (const name of PROTOCOL_NAMES)
  test(`${name} has its ports, names and limits`, () => {
    const { rfc, byDefault, leastMs, ...facts } = FACTS[name]
    const spec = specOf(name)
    const { bannerTrap, capability, idle, ...rest } = spec
    assert.deepEqual(rest, facts)
    assert.deepEqual([idle.byDefault, idle.leastMs], [byDefault, leastMs])
    assert.ok(idle.shortWarning.startsWith(rfc), idle.shortWarning)
    assert.match(idle.description, new RegExp(`Default ${byDefault}.* Less is warned of\\.$`))
    assert.ok(!idle.description.startsWith('The same') || idle.description.startsWith(`The same for ${spec.title}.`))
    assert.deepEqual([bannerTrap !== undefined, capability !== undefined], [name === 'pop3', name === 'imap'])
    assert.equal(protocols[name].name, name)
  })

test('a warning of a short idle limit of IMAP says what happens', () => {
  assert.equal(specOf('imap').idle.shortWarning, 'RFC 9051 5.4 demands at least 30m; clients in IDLE will be cut off')
})

test('a banner with a timestamp would announce APOP in POP3 (RFC 1939 7)', () => {
  const trap = specOf('pop3').bannerTrap
  assert.equal(trap?.why, '<...> in a POP3 banner announces APOP, which mailmux does not offer')
  for (const banner of ['<1896.697170952@dbc.mtview.ca.us>', 'ready <x> now', '<>']) assert.match(banner, trap.pattern)
  for (const banner of ['ready', '<x', 'x>', '> <']) assert.doesNotMatch(banner, trap.pattern)
})

test('words of an own list of IMAP capabilities that mailmux adds itself, or withholds', () => {
  const rules = specOf('imap').capability
  assert.equal(rules?.required, 'IMAP4rev1')
  assert.match(
    rules.description,
    /^IMAP capabilities announced before login, .* IMAP4rev1 among them; .* Default: computed/,
  )
  const words = ['STARTTLS', 'LOGINDISABLED', 'AUTH=PLAIN', 'AUTH=']
  const withheld = ['UNAUTHENTICATE', 'LOGIN-REFERRALS', 'MAILBOX-REFERRALS']
  const free = [
    'IMAP4rev1',
    'IDLE',
    'AUTH',
    'XAUTH=PLAIN',
    'STARTTLSX',
    'X-STARTTLS',
    'LOGINDISABLED2',
    'UNAUTHENTICATED',
  ]
  const more = ['X-UNAUTHENTICATE', 'LOGIN-REFERRALSX', 'XMAILBOX-REFERRALS', 'REFERRALS']
  for (const word of [...words, ...withheld, ...free, ...more])
    for (const written of [word, word.toLowerCase()]) {
      assert.equal(rules.own.test(written), words.includes(word), written)
      assert.equal(rules.withheld.test(written), withheld.includes(word), written)
    }
})

test('derives lists of all protocols, and of those whose capabilities can be configured', () => {
  assert.deepEqual(PROTOCOL_NAMES, ['imap', 'pop3', 'managesieve'])
  assert.deepEqual(CAPABILITY_PROTOCOLS, ['imap'])
  assert.deepEqual(
    PROTOCOL_NAMES.map((name) => isCapabilityProtocol(name)),
    [true, false, false],
  )
  assert.equal(listProtocols('or'), 'imap, pop3 or managesieve')
  assert.equal(
    listProtocols('and', ({ title }, name) => `${title} (${name})`),
    'IMAP (imap), POP3 (pop3) and ManageSieve (managesieve)',
  )
  assert.deepEqual(
    eachProtocol(({ alpn }, name) => `${name} ${alpn}`),
    { imap: 'imap imap', pop3: 'pop3 pop3', managesieve: 'managesieve managesieve' },
  )
})
