import assert from 'node:assert/strict'
import { isIP, SocketAddress } from 'node:net'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  addressOf,
  bracketHost,
  familyOf,
  firstAddress,
  hasZone,
  hostPort,
  isAddress,
  isLoopbackAddress,
  isMapped,
  isUnspecified,
  networkOf,
  octetsOf,
  parseAddress,
  parseNetwork,
  plainAddress,
  shortestAddress,
  splitHostPort,
  unbracketHost,
  withoutZone,
} from '../../../src/net/address.ts'

/** Texts that other libraries, or other functions of Node, take for an address. */
const NO_ADDRESS = ['', '1', '010.0.0.1', '0x7f.0.0.1', '127.1', '10.0.0', '10.0.0.1/8', ' ::1', '[::1]', '::1:', 'localhost', 'unknown', '%eth0', 'unix:/x'] // prettier-ignore

describe('the canonical form', () => {
  const forms: [text: string, canonical: string, shortest: string][] = [
    ['192.0.2.1', '192.0.2.1', '192.0.2.1'],
    ['2001:DB8:0:0:0:0:0:01', '2001:db8::1', '2001:db8::1'],
    ['0:0:0:0:0:0:0:1', '::1', '::1'],
    ['::', '::', '::'],
    // RFC 5952 4.2.3: the longest run of zeros, the first of two; 4.2.2: never a single group
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3', '1:0:0:2::3'],
    ['1:0:0:2:0:0:3:4', '1::2:0:0:3:4', '1::2:0:0:3:4'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:192.0.2.1', '192.0.2.1', '::ffff:192.0.2.1'],
    ['::FFFF:c000:0201', '192.0.2.1', '::ffff:192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1', '::ffff:192.0.2.1'],
    // RFC 4291 2.5.5.1: IPv4-compatible, which is not IPv4-mapped
    ['::192.0.2.1', '::c000:201', '::c000:201'],
    ['1::2:192.0.2.1', '1::2:c000:201', '1::2:c000:201'],
    ['::ffff:0:192.0.2.1', '::ffff:0:c000:201', '::ffff:0:c000:201'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201', '64:ff9b::c000:201'],
    ['fe80::1%eth0', 'fe80::1', 'fe80::1%eth0'],
    ['FE80::1%Eth0', 'fe80::1', 'FE80::1%Eth0'],
    ['::ffff:192.0.2.1%1', '192.0.2.1', '::ffff:192.0.2.1%1'],
  ]
  for (const [text, canonical, shortest] of forms) {
    test(`of ${text}`, () => {
      assert.deepEqual(parseAddress(text), { address: canonical, family: canonical.includes(':') ? 6 : 4 })
      assert.equal(shortestAddress(text), shortest)
      assert.equal(plainAddress(shortest.toLowerCase()), canonical)
    })
  }

  test('does not exist for other texts, which plainAddress and shortestAddress leave alone', () => {
    for (const text of NO_ADDRESS) {
      assert.equal(parseAddress(text), undefined, text)
      assert.equal(familyOf(text), undefined, text)
      assert.equal(isAddress(text), false, text)
      assert.equal(plainAddress(text), text)
      assert.equal(shortestAddress(text), text)
    }
  })

  test('is the one that sockets print, for every IPv6 address outside ::/80', () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        assert.equal(isIP(text), 6)
        const { address: printed } = new SocketAddress({ address: text, family: 'ipv6' })
        // inet_ntop also writes the deprecated IPv4-compatible addresses (RFC 4291 2.5.5.1) with dots.
        fc.pre(!/^::[\d.]+$/.test(printed))
        assert.equal(parseAddress(text)?.address, printed.replace(/^::ffff:(?=[\d.]+$)/, ''))
        assert.equal(shortestAddress(text), printed)
        assert.equal(plainAddress(printed), parseAddress(text)?.address)
      }),
    )
  })
})

test('distinguishes the family, the zone and the IPv4-mapped form', () => {
  assert.deepEqual(['192.0.2.1', '::ffff:192.0.2.1', 'fe80::1%eth0', 'a.example'].map(familyOf), [4, 6, 6, undefined])
  assert.deepEqual(['fe80::1%eth0', 'fe80::1'].map(hasZone), [true, false])
  assert.deepEqual(['fe80::1%eth0', 'fe80::1'].map(withoutZone), ['fe80::1', 'fe80::1'])
  const mapped = ['::ffff:192.0.2.1', '::FFFF:c000:201', '::ffff:192.0.2.1%1', '192.0.2.1', '::192.0.2.1', 'x::ffff:']
  assert.deepEqual(mapped.map(isMapped), [true, true, true, false, false, false])
})

test('recognises loopback addresses', () => {
  for (const text of ['127.0.0.1', '127.255.0.9', '::1', '0:0::1', '::1%lo', '::ffff:127.0.0.1', '::FFFF:7f00:1']) {
    assert.equal(isLoopbackAddress(text), true, text)
  }
  for (const text of [
    '128.0.0.1',
    '126.255.255.255',
    '::2',
    '::',
    '0.0.0.0',
    '::127.0.0.1',
    'localhost',
    '127.1',
    '',
  ]) {
    assert.equal(isLoopbackAddress(text), false, text)
  }
})

test('recognises the unspecified addresses', () => {
  for (const text of [
    '0.0.0.0',
    '::',
    '0:0:0:0:0:0:0:0',
    '::0',
    '::ffff:0.0.0.0',
    '::ffff:0:0',
    '::%lo',
    '0::0.0.0.0',
  ]) {
    assert.equal(isUnspecified(text), true, text)
  }
  for (const text of ['0.0.0.1', '::1', '127.0.0.1', '0', '', '0.0.0', 'localhost']) {
    assert.equal(isUnspecified(text), false, text)
  }
})

describe('the network of a client', () => {
  const networks: [string, string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:0:1::1', '2001:db8:0:1'],
    ['2001:db8:0:1:ffff:ffff:ffff:ffff', '2001:db8:0:1'],
    ['2001:db8:0:2::1', '2001:db8:0:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['fe80::1%lo', 'fe80:0:0:0'],
    ['::1', '0:0:0:0'],
    ['unknown', 'unknown'],
    ['not:an:address', 'not:an:address'],
  ]
  for (const [address, network] of networks) test(`of ${address}`, () => assert.equal(networkOf(address), network))
})

describe('a network', () => {
  const networks: [string, string, number, string][] = [
    ['10.1.2.3/8', '10.1.2.3', 8, '10.0.0.0'],
    ['10.1.2.3', '10.1.2.3', 32, '10.1.2.3'],
    ['0.0.0.0/0', '0.0.0.0', 0, '0.0.0.0'],
    ['255.255.255.255/9', '255.255.255.255', 9, '255.128.0.0'],
    ['2001:DB8:ffff::1/33', '2001:db8:ffff::1', 33, '2001:db8:8000::'],
    ['::1', '::1', 128, '::1'],
    ['::/0', '::', 0, '::'],
    ['::ffff:10.1.2.3/104', '10.1.2.3', 8, '10.0.0.0'],
    ['::ffff:10.1.2.3/96', '10.1.2.3', 0, '0.0.0.0'],
    ['::ffff:10.1.2.3', '10.1.2.3', 32, '10.1.2.3'],
  ]
  for (const [text, address, prefixBits, first] of networks) {
    test(`of ${text}`, () => {
      const family = address.includes(':') ? 6 : 4
      assert.deepEqual(parseNetwork(text), { address, family, prefixBits })
      assert.equal(firstAddress({ address, family, prefixBits }), first)
    })
  }

  test('is none of these', () => {
    const wrong = ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '10.0.0.0/8/8', '/8', '::/129', 'fe80::%lo/64', '::ffff:10.0.0.0/95', '::ffff:10.0.0.0/129', 'a.example/8'] // prettier-ignore
    for (const text of [...wrong, ...NO_ADDRESS.filter((one) => one !== '10.0.0.1/8')]) {
      assert.equal(parseNetwork(text), undefined, text)
    }
  })
})

test('converts addresses to octets and back', () => {
  assert.deepEqual(octetsOf('192.0.2.1', 4), [192, 0, 2, 1])
  assert.deepEqual(octetsOf('192.0.2.1', 6), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1])
  assert.deepEqual(octetsOf('2001:db8::1%lo', 6), [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
  for (const address of ['192.0.2.1', '2001:db8::1', '::1', 'fe80::ff:0:1']) {
    assert.equal(addressOf(octetsOf(address, address.includes(':') ? 6 : 4)), address)
    assert.equal(addressOf(octetsOf(address, 6)), address)
  }
})

describe('a host with a port', () => {
  for (const [host, text] of [
    ['192.0.2.1', '192.0.2.1:143'],
    ['::1', '[::1]:143'],
    ['fe80::1%eth0', '[fe80::1%eth0]:143'],
    ['imap.example.test', 'imap.example.test:143'],
  ] as const) {
    test(`is written as ${text}`, () => {
      assert.equal(hostPort(host, 143), text)
      assert.equal(unbracketHost(bracketHost(host)), host)
      assert.deepEqual(splitHostPort(text), { host, port: '143', isBracketed: host.includes(':') })
    })
  }

  test('is split without a judgement of its parts', () => {
    assert.deepEqual(splitHostPort(':'), { host: '', port: '', isBracketed: false })
    assert.deepEqual(splitHostPort('[x]:y'), { host: 'x', port: 'y', isBracketed: true })
  })

  test('is none of these', () => {
    for (const text of ['', 'host', '::1', '::1:143', '[::1]', '[::1]143', '[[::1]]:143', 'a:b:c', '[::1]:1:2']) {
      assert.equal(splitHostPort(text), undefined, text)
    }
  })

  test('keeps a bracket that stands alone', () => {
    for (const text of ['[::1', '::1]', '[', ']', 'x']) assert.equal(unbracketHost(text), text)
  })
})
