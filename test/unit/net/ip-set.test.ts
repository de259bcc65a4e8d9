import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createIpSet } from '../../../src/net/ip-set.ts'

test('holds the addresses of its networks, and no others', () => {
  const set = createIpSet(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1'])
  for (const inside of ['10.0.0.0', '10.255.255.255', '192.0.2.7', '2001:db8::', '2001:DB8:ffff::1', '::1', '0::1']) {
    assert.equal(set.has(inside), true, inside)
  }
  for (const outside of ['11.0.0.0', '9.255.255.255', '192.0.2.8', '2001:db9::', '::2', '::', '0.0.0.1']) {
    assert.equal(set.has(outside), false, outside)
  }
})

test('matches an IPv4 address in its IPv6 form, in the question and in the set', () => {
  const set = createIpSet(['10.0.0.0/8'])
  assert.equal(set.has('::ffff:10.1.2.3'), true)
  assert.equal(set.has('::FFFF:0a01:0203'), true)
  assert.equal(set.has('0:0:0:0:0:ffff:10.1.2.3'), true)
  assert.equal(set.has('::ffff:11.1.2.3'), false)
  assert.equal(set.has('::10.1.2.3'), false)

  const mapped = createIpSet(['::ffff:10.0.0.0/104', '::ffff:192.0.2.7'])
  for (const inside of ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.7']) assert.equal(mapped.has(inside), true, inside)
  for (const outside of ['11.1.2.3', '192.0.2.8']) assert.equal(mapped.has(outside), false, outside)
})

test('does not take every IPv4 address for a member of every IPv6 network, nor the other way round', () => {
  assert.equal(createIpSet(['::/0']).has('192.0.2.7'), false)
  assert.equal(createIpSet(['::/0']).has('::ffff:192.0.2.7'), false)
  assert.equal(createIpSet(['::/0']).has('2001:db8::1'), true)
  assert.equal(createIpSet(['0.0.0.0/0']).has('2001:db8::1'), false)
  assert.equal(createIpSet(['0.0.0.0/0']).has('::1'), false)
  assert.equal(createIpSet(['0.0.0.0/0']).has('::ffff:192.0.2.7'), true)
})

test('holds what is no address in no network', () => {
  const set = createIpSet(['0.0.0.0/0', '::/0'])
  for (const wrong of [
    '',
    'localhost',
    '10.0.0.1/8',
    '10.0.0',
    '010.0.0.1',
    ' 10.0.0.1',
    '[::1]',
    '::1:',
    'unix:/x',
    '1',
  ]) {
    assert.equal(set.has(wrong), false, wrong)
  }
})

test('sees past the zone of a link-local address', () => {
  assert.equal(createIpSet(['fe80::/10']).has('fe80::1%eth0'), true)
  assert.equal(createIpSet(['fe80::1']).has('fe80::2%eth0'), false)
})

test('without networks holds nothing', () => {
  for (const address of ['127.0.0.1', '::1', '0.0.0.0', '::', '']) assert.equal(createIpSet([]).has(address), false)
})

test('refuses what is neither an address nor a network', () => {
  for (const wrong of [
    '',
    'localhost',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '/8',
    '::/129',
    '::1%lo',
    'fe80::1%lo/64',
    '::ffff:10.0.0.0/95',
    ' 10.0.0.0/8',
  ]) {
    assert.throws(() => createIpSet([wrong]), RangeError, wrong)
  }
})

/** The address as a number, worked out here by other means. */
function numberOf(address: string): { bits: number; value: bigint } {
  if (!address.includes(':')) {
    return { bits: 32, value: address.split('.').reduce((sum, octet) => sum * 256n + BigInt(octet), 0n) }
  }
  const groups = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::')
  const [head = [], tail = []] = groups.map((half) => half.split(':').filter((group) => group !== ''))
  const all = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
  return { bits: 128, value: all.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n) }
}

test('agrees with arithmetic for every network', () => {
  const cases = fc.oneof(
    fc.tuple(fc.ipV4(), fc.ipV4(), fc.nat({ max: 32 }), fc.nat({ max: 31 })),
    fc.tuple(fc.ipV6(), fc.ipV6(), fc.nat({ max: 128 }), fc.nat({ max: 127 })),
  )
  fc.assert(
    fc.property(cases, fc.boolean(), ([network, other, prefixBits, bit], isNear) => {
      const [{ bits, value }, there] = [numberOf(network), numberOf(other)]
      // Half of the questions are one bit away from the network: random addresses are nearly never in a narrow one.
      const asked = isNear ? value ^ (1n << BigInt(bit)) : there.value
      const mapped = (number: bigint): boolean => bits === 128 && number >> 32n === 0xffffn
      fc.pre(!mapped(value) && !mapped(asked))
      const hex = asked.toString(16).padStart(32, '0')
      const text =
        bits === 32
          ? [24n, 16n, 8n, 0n].map((shift) => (asked >> shift) & 255n).join('.')
          : hex.match(/.{4}/g)!.join(':')
      const shift = BigInt(bits - prefixBits)
      assert.equal(createIpSet([`${network}/${prefixBits}`]).has(text), asked >> shift === value >> shift)
    }),
    { numRuns: 1000 },
  )
})

test('reads a long list once, and again when it has changed', () => {
  const list = (start: number): string[] =>
    Array.from({ length: 2000 }, (_, at) => `10.${start}.${at >> 8}.${at & 255}`)
  const first = createIpSet(list(1))
  assert.equal(createIpSet(list(1)), first)
  const other = createIpSet([...list(1), '192.0.2.0/24'])
  assert.deepEqual([first.has('192.0.2.1'), other.has('192.0.2.1'), other.has('10.1.0.9')], [false, true, true])
  // A few lists are kept: those of old configurations must not stay for ever.
  for (let start = 2; start < 7; start++) createIpSet(list(start))
  assert.notEqual(createIpSet(list(1)), first)
  assert.ok(createIpSet(list(1)).has('10.1.0.9'))
})
