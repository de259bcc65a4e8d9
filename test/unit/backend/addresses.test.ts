import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addressesOf,
  hasNames,
  keyOf,
  lookUp,
  NOTHING_KNOWN,
  type Known,
} from '../../../src/backend/endpoint/addresses.ts'
import {
  boundedTtl,
  isService,
  selectAddresses,
  type Found,
  type Lookup,
  type Service,
} from '../../../src/backend/endpoint/lookup.ts'
import { hasEquals, orderFor } from '../../../src/backend/endpoint/order.ts'
import { backendSettings } from './fixture.ts'

const found = <T>(records: readonly T[], ttlMs = 30_000): Found<T> => ({ records, ttlMs })
const service = (target: string, port: number, priority: number, weight = 0): Service => ({
  target,
  port,
  priority,
  weight,
})

function known(hosts: Record<string, string[]>, services: Record<string, Service[]> = {}): Known {
  const all = <T>(table: Record<string, T[]>) =>
    new Map(Object.entries(table).map(([name, records]) => [name, found(records)]))
  return { hosts: all(hosts), services: all(services) }
}

const ways = (settings: Parameters<typeof backendSettings>[0], what = NOTHING_KNOWN) =>
  addressesOf(backendSettings(settings), 'imap', what)?.map(({ ip, port, rank }) => `${ip} ${port} ${rank}`)

test('an address is what it is, before anything is looked up', () => {
  assert.deepEqual(ways({ hosts: ['192.0.2.1', '2001:db8::1'] }), ['192.0.2.1 143 0', '2001:db8::1 143 2'])
  assert.deepEqual(ways({ hosts: ['store.test'] }), [])
  assert.equal(ways({ ports: { pop3: 110 } }), undefined)
})

test('hosts come in the order of the list, whatever they resolve to', () => {
  const what = known({ 'b.test': ['192.0.2.2', '192.0.2.3'], 'a.test': ['192.0.2.1'] })
  assert.deepEqual(ways({ hosts: ['b.test', '192.0.2.9', 'a.test'] }, what), [
    '192.0.2.2 143 0',
    '192.0.2.3 143 0',
    '192.0.2.9 143 2',
    '192.0.2.1 143 4',
  ])
})

test('the family that the system does not prefer comes after the other, of the same host', () => {
  const what = known({ 'a.test': ['2001:db8::1', '192.0.2.1', '2001:db8::2'], 'b.test': ['192.0.2.2'] })
  assert.deepEqual(ways({ hosts: ['a.test', 'b.test'] }, what), [
    '2001:db8::1 143 0',
    '2001:db8::2 143 0',
    '192.0.2.1 143 1',
    '192.0.2.2 143 2',
  ])
})

test('one place that two names lead to is one', () => {
  assert.deepEqual(ways({ hosts: ['192.0.2.1', 'a.test'] }, known({ 'a.test': ['192.0.2.1'] })), ['192.0.2.1 143 0'])
})

test('SRV records come by priority, each with its port', () => {
  const srv = { imap: '_imap._tcp.x.test' }
  const services = [service('far.test', 1143, 20), service('near.test', 2143, 10), service('192.0.2.7', 3, 30)]
  const what = known({ 'near.test': ['192.0.2.1'], 'far.test': ['192.0.2.2'] }, { '_imap._tcp.x.test': services })
  const settings = { hosts: [], ports: {}, srv }
  assert.deepEqual(ways(settings, what), ['192.0.2.1 2143 20', '192.0.2.2 1143 40', '192.0.2.7 3 60'])
  assert.equal(addressesOf(backendSettings(settings), 'pop3', what), undefined)
  assert.deepEqual(ways(settings), [])
})

test('users are spread over equal addresses by weight, and each keeps to one', () => {
  const places = [
    [1, '192.0.2.1', 0],
    [3, '192.0.2.2', 0],
    [9, '192.0.2.3', 1],
  ].map(([weight, ip, rank]) => ({
    address: {
      host: 'x',
      ip: String(ip),
      port: 143,
      source: 'srv' as const,
      rank: Number(rank),
      weight: Number(weight),
    },
  }))
  assert.ok(hasEquals(places.map(({ address }) => address)))
  const firsts = new Map<string, number>()
  for (let user = 0; user < 4000; user++) {
    const order = orderFor(places, `user${user}`).map(({ address }) => address.ip)
    assert.deepEqual(
      order,
      orderFor([...places].reverse(), `user${user}`).map(({ address }) => address.ip),
    )
    assert.equal(order[2], '192.0.2.3') // a later rank comes later, whatever its weight
    firsts.set(order[0]!, (firsts.get(order[0]!) ?? 0) + 1)
  }
  const share = (firsts.get('192.0.2.2') ?? 0) / 4000
  assert.ok(share > 0.72 && share < 0.78, String(share))
})

test('an address that goes moves its own users only', () => {
  const places = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((ip) => ({
    address: { host: 'x', ip, port: 143, source: 'name' as const, rank: 0, weight: 1 },
  }))
  for (let user = 0; user < 500; user++) {
    const before = orderFor(places, `u${user}`)[0]?.address.ip
    const after = orderFor(places.slice(1), `u${user}`)[0]?.address.ip
    if (before !== '192.0.2.1') assert.equal(after, before)
  }
})

function dns(hosts: Record<string, string[]>, services: Record<string, Service[]> = {}): Lookup {
  const ask =
    <T>(table: Record<string, T[]>) =>
    (name: string) =>
      table[name]
        ? Promise.resolve(found(table[name]))
        : Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }))
  return { addresses: ask(hosts), services: ask(services) }
}

test('a name whose look-up fails keeps its last addresses, and is looked up again soon', async () => {
  const settings = backendSettings({ hosts: ['a.test', 'b.test'] })
  const first = await lookUp(settings, dns({ 'a.test': ['192.0.2.1'], 'b.test': ['192.0.2.2'] }), NOTHING_KNOWN)
  assert.deepEqual([first.failures, first.ttlMs], [[], 30_000])
  const second = await lookUp(settings, dns({ 'a.test': ['192.0.2.9'] }), first.known)
  assert.deepEqual(second.failures, [{ name: 'b.test', cause: 'ENOTFOUND' }])
  assert.equal(second.ttlMs, 5000)
  assert.deepEqual(
    addressesOf(settings, 'imap', second.known)?.map(({ ip }) => ip),
    ['192.0.2.9', '192.0.2.2'],
  )
})

test('the targets of SRV records are looked up, and those of records that are gone forgotten', async () => {
  const name = '_imap._tcp.x.test'
  const settings = backendSettings({ hosts: [], ports: {}, srv: { imap: name } })
  const first = await lookUp(
    settings,
    dns({ 'a.test': ['192.0.2.1'] }, { [name]: [service('a.test', 1, 0)] }),
    NOTHING_KNOWN,
  )
  const second = await lookUp(
    settings,
    dns({ 'b.test': ['192.0.2.2'] }, { [name]: [service('b.test', 1, 0)] }),
    first.known,
  )
  assert.deepEqual([...second.known.hosts.keys()], ['b.test'])
  // RFC 2782: a target of "." has said that there is none
  const third = await lookUp(settings, dns({}, { [name]: [] }), second.known)
  assert.deepEqual(addressesOf(settings, 'imap', third.known), [])
})

test('what DNS says is not dialled where it is no address, or every address', () => {
  const families = new Set([4, 6])
  const said = ['192.0.2.1', '0.0.0.0', '::', 'evil.test', '', '2001:db8::1', '192.0.2.1']
  assert.deepEqual(selectAddresses(said, families), ['192.0.2.1', '2001:db8::1'])
})

test('addresses of a family that this machine lacks are left out, unless there are no others', () => {
  assert.deepEqual(selectAddresses(['2001:db8::1', '192.0.2.1'], new Set([4])), ['192.0.2.1'])
  assert.deepEqual(selectAddresses(['2001:db8::1'], new Set([4])), ['2001:db8::1'])
  assert.deepEqual(selectAddresses(['127.0.0.2', '::1'], new Set()), ['127.0.0.2', '::1'])
})

test('a lifetime is neither shorter than 5 seconds nor longer than 5 minutes', () => {
  assert.deepEqual([0, 7000, 1e9].map(boundedTtl), [5000, 7000, 300_000])
})

const UNSPECIFIED = ['0.0.0.0', '::', '::ffff:0.0.0.0', '::ffff:0:0', '0:0:0:0:0:ffff:0:0', '0::0', '::%lo']

for (const ip of UNSPECIFIED)
  test(`dials nothing at ${ip}, which is this machine, whatever led to it`, () => {
    const families = new Set([4, 6])
    assert.deepEqual(selectAddresses([ip, '192.0.2.1'], families), ['192.0.2.1'])
    assert.throws(() => selectAddresses([ip], families), {
      message: `leads to ${ip}, which means every address of this machine`,
    })
    assert.deepEqual(ways({ hosts: ['a.test'] }, known({ 'a.test': [ip, '192.0.2.1'] })), ['192.0.2.1 143 0'])
    assert.deepEqual(ways({ hosts: [ip] }), [])
    const srv = { imap: '_imap._tcp.x.test' }
    const services = { '_imap._tcp.x.test': [service(ip, 143, 1), service('a.test', 143, 1)] }
    assert.deepEqual(ways({ hosts: [], ports: {}, srv }, known({ 'a.test': [ip] }, services)), [])
  })

test('a name that leads to this machine alone is a failure, and its last addresses stay', async () => {
  const before = known({ 'a.test': ['192.0.2.1'] })
  const lookup: Lookup = {
    addresses: () => Promise.resolve(found(selectAddresses(['0.0.0.0'], new Set([4])))),
    services: () => Promise.resolve(found([])),
  }
  const { known: after, failures } = await lookUp(
    backendSettings({ hosts: ['a.test'] }),
    {
      ...lookup,
      addresses: async (name) => lookup.addresses(name),
    },
    before,
  )
  assert.deepEqual(after.hosts.get('a.test')?.records, ['192.0.2.1'])
  assert.deepEqual(failures, [{ name: 'a.test', cause: 'leads to 0.0.0.0, which means every address of this machine' }])
})

test('a target of an SRV record that is an address of this machine is a failure by its name', async () => {
  const lookup: Lookup = {
    addresses: () => Promise.resolve(found(['192.0.2.1'])),
    services: () => Promise.resolve(found([service('0.0.0.0', 143, 1), service('a.test', 143, 2)])),
  }
  const settings = backendSettings({ hosts: [], ports: {}, srv: { imap: '_imap._tcp.x.test' } })
  const { failures } = await lookUp(settings, lookup, NOTHING_KNOWN)
  assert.deepEqual(failures, [{ name: '0.0.0.0', cause: 'means every address of this machine' }])
})

test('the order depends on the user where two addresses have one rank, and only there', () => {
  const ranks = (...all: number[]) =>
    hasEquals(all.map((rank) => ({ host: 'x', ip: '192.0.2.1', port: 1, source: 'srv' as const, rank, weight: 1 })))
  assert.deepEqual(
    [ranks(), ranks(0), ranks(0, 2), ranks(0, 2, 4), ranks(0, 0), ranks(0, 2, 2), ranks(0, 0, 2)],
    [false, false, false, false, true, true, true],
  )
})

test('a rank decides before weight and user, in whatever order the addresses come', () => {
  const at = (ip: string, rank: number, weight: number) => ({
    address: { host: 'x', ip, port: 143, source: 'srv' as const, rank, weight },
  })
  const all = [at('192.0.2.3', 5, 100), at('192.0.2.1', 0, 0.01), at('192.0.2.2', 1, 1)]
  for (let user = 0; user < 50; user++) {
    const order = orderFor(all, `user${user}`).map(({ address }) => address.ip)
    assert.deepEqual(order, ['192.0.2.1', '192.0.2.2', '192.0.2.3'])
  }
})

test('addresses with different ports are different', () => {
  const at = (ip: string, port: number) => ({ host: 'x', ip, port, source: 'name' as const, rank: 0, weight: 1 })
  assert.equal(keyOf(at('192.0.2.1', 143)), '192.0.2.1:143')
  assert.equal(keyOf(at('2001:db8::1', 143)), '[2001:db8::1]:143')
})

test('a back end has names where any host is one, or with SRV', () => {
  assert.equal(hasNames(backendSettings({ hosts: ['192.0.2.1', '2001:db8::1'] })), false)
  assert.equal(hasNames(backendSettings({ hosts: ['192.0.2.1', 'a.test'] })), true)
  assert.equal(hasNames(backendSettings({ hosts: ['a.test'] })), true)
  assert.equal(hasNames(backendSettings({ hosts: [], srv: { imap: '_imap._tcp.x.test' } })), true)
})

test('only names are looked up, the shortest lifetime counts, and each address has its origin', async () => {
  const asked: string[] = []
  const lookup: Lookup = {
    addresses: (name) => {
      asked.push(name)
      return Promise.resolve(
        found([name === 'a.test' ? '192.0.2.1' : '192.0.2.2'], name === 'a.test' ? 60_000 : 20_000),
      )
    },
    services: () => Promise.reject(new Error('not asked')),
  }
  const settings = backendSettings({ hosts: ['192.0.2.9', 'a.test', '2001:db8::9', 'b.test'] })
  const round = await lookUp(settings, lookup, NOTHING_KNOWN)
  assert.deepEqual(asked, ['a.test', 'b.test'])
  assert.equal(round.ttlMs, 20_000)
  const sources = addressesOf(settings, 'imap', round.known)?.map(({ host, source }) => `${host} ${source}`)
  assert.deepEqual(sources, ['192.0.2.9 address', 'a.test name', '2001:db8::9 address', 'b.test name'])
})

test('the weight of an SRV target is split among its addresses of the preferred family', () => {
  const services = [service('a.test', 1, 0, 6), service('b.test', 2, 0, 0), service('c.test', 3, 1, 4)]
  const what = known(
    {
      'a.test': ['192.0.2.1', '192.0.2.2', '2001:db8::1'],
      'b.test': ['192.0.2.3'],
      'c.test': ['2001:db8::2', '192.0.2.4'],
    },
    { s: services },
  )
  const addresses = addressesOf(backendSettings({ hosts: [], srv: { imap: 's' } }), 'imap', what)
  assert.deepEqual(
    addresses?.map(({ ip, rank, weight, source }) => [ip, rank, weight, source]),
    [
      ['192.0.2.1', 0, 3, 'srv'],
      ['192.0.2.2', 0, 3, 'srv'],
      ['192.0.2.3', 0, 0.01, 'srv'], // RFC 2782: a weight of 0 is a very small one
      ['2001:db8::1', 1, 3, 'srv'],
      ['2001:db8::2', 2, 4, 'srv'],
      ['192.0.2.4', 3, 4, 'srv'],
    ],
  )
})

test('SRV records that were never looked up give no addresses', () => {
  assert.deepEqual(addressesOf(backendSettings({ hosts: [], srv: { imap: 's' } }), 'imap', known({}, {})), [])
})

test('an SRV record leads to a host name and a port', () => {
  const long = `${'a'.repeat(63)}.`.repeat(4).slice(0, 254)
  assert.equal(long.length, 254)
  for (const target of ['a.test', 'a.test.', 'mail_1.x-y.test', 'x', long])
    assert.equal(isService({ target, port: 143 }), true, target)
  for (const target of [
    '.',
    '',
    'a..test',
    'a b',
    'a.test/x',
    '-a.test\n',
    'ä.test',
    `${long}a`,
    '.a.test',
    ' a.test',
    '[::1]',
  ])
    assert.equal(isService({ target, port: 143 }), false, target)
  assert.deepEqual(
    [-1, 0, 1, 65_535, 65_536].map((port) => isService({ target: 'a.test', port })),
    [false, false, true, true, false],
  )
})

test('what is no address is no address that a name leads to', () => {
  assert.deepEqual(selectAddresses(['evil.test'], new Set([4])), [])
  assert.deepEqual(selectAddresses([], new Set([4])), [])
})
