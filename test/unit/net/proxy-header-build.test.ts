import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from '../../../src/net/crc32c.ts'
import { buildProxyHeader, ProxyHeaderError, readProxyHeader } from '../../../src/net/proxy-header.ts'
import { CAPTURED, IPV4_BLOCK, ipv4Endpoints, ipv6Endpoints, line, SIGNATURE } from './proxy-header-vectors.ts'

const SOURCE = { address: '192.0.2.7', port: 56324 }
const DESTINATION = { address: '192.0.2.1', port: 143 }

describe('a header of version 1', () => {
  test('names addresses of one family', () => {
    const text = (source: string, destination: string): string =>
      buildProxyHeader({
        version: 1,
        source: { address: source, port: 56324 },
        destination: { address: destination, port: 143 },
      }).toString('latin1')
    assert.equal(text('192.0.2.7', '192.0.2.1'), 'PROXY TCP4 192.0.2.7 192.0.2.1 56324 143\r\n')
    assert.equal(text('2001:DB8::07', '::1'), 'PROXY TCP6 2001:db8::7 ::1 56324 143\r\n')
    // What a dual-stack socket calls its IPv4 clients, and how link-local ones are called.
    assert.equal(text('::ffff:192.0.2.7', '192.0.2.1'), 'PROXY TCP4 192.0.2.7 192.0.2.1 56324 143\r\n')
    assert.equal(text('fe80::1%eth0', 'fe80::2%eth0'), 'PROXY TCP6 fe80::1 fe80::2 56324 143\r\n')
  })

  test('says UNKNOWN of addresses of two families, and for itself', () => {
    const mixed = { version: 1, source: SOURCE, destination: { address: '::1', port: 143 } } as const
    assert.equal(buildProxyHeader(mixed).toString('latin1'), 'PROXY UNKNOWN\r\n')
    assert.equal(buildProxyHeader({ version: 1, local: true }).toString('latin1'), 'PROXY UNKNOWN\r\n')
  })
})

describe('a header of version 2', () => {
  test('counts everything behind its head in its length, and ends with the checksum', () => {
    const header = buildProxyHeader({ version: 2, source: SOURCE, destination: DESTINATION, alpn: 'imap' })
    assert.equal(
      header.subarray(0, -4).toString('hex'),
      `${SIGNATURE}2111` + '001a' + 'c0000207c0000201dc04008f' + '010004696d6170' + '030004',
    )
    assert.equal(header.readUInt16BE(14), header.length - 16)
    const checksum = header.readUInt32BE(header.length - 4)
    assert.equal(crc32c(Buffer.from(header).fill(0, header.length - 4)), checksum)
  })

  test('writes IPv4 as IPv6 beside an IPv6 address', () => {
    const header = buildProxyHeader({ version: 2, source: SOURCE, destination: { address: '2001:db8::1', port: 143 } })
    assert.equal(
      header.subarray(12, 52).toString('hex'),
      '2121002b' + '00000000000000000000ffffc0000207' + '20010db8000000000000000000000001' + 'dc04008f',
    )
  })

  test('for itself is the head alone', () => {
    assert.equal(buildProxyHeader({ version: 2, local: true }).toString('hex'), `${SIGNATURE}20000000`)
  })

  test('is what HAProxy writes, byte for byte, where HAProxy writes the same facts', () => {
    const { bytes, header } = CAPTURED.find(({ what }) => what.includes('checksum over IPv6'))!
    const { source, destination } = header
    assert.deepEqual(buildProxyHeader({ version: 2, source: source!, destination: destination! }), bytes)
  })

  test('leaves out an authority that is no host name, since a client may have written anything', () => {
    for (const authority of ['', 'a b', 'a\r\nb', '192.0.2.1', 'é.test', '\0', 'a.test..', 'x'.repeat(300)]) {
      const header = buildProxyHeader({ version: 2, source: SOURCE, destination: DESTINATION, authority })
      assert.equal(header.length, 16 + IPV4_BLOCK.length + 7)
    }
  })
})

test('what is built is read again as it was', () => {
  const words = fc.stringMatching(/^[!-~]{1,40}$/)
  const hosts = fc.domain().map((name) => name.toLowerCase())
  const uniqueIds = fc.uint8Array({ maxLength: 128 }).map((bytes) => Buffer.from(bytes))
  const names = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 64 }).filter((name) => !/\p{Cc}/u.test(name))
  const ssls = fc.record(
    { clientTls: fc.constant(true), verified: fc.boolean(), version: words, commonName: names, cipher: words },
    { requiredKeys: ['clientTls', 'verified'], noNullPrototype: true },
  )
  const tlvs = fc.record(
    { alpn: words, authority: hosts, ssl: ssls, uniqueId: uniqueIds },
    { requiredKeys: [], noNullPrototype: true },
  )
  const endpoints = fc.oneof(ipv4Endpoints, ipv6Endpoints)
  fc.assert(
    fc.property(endpoints, endpoints, tlvs, fc.uint8Array({ maxLength: 20 }), (source, destination, facts, payload) => {
      const bytes = buildProxyHeader({ version: 2, source, destination, ...facts })
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(readProxyHeader(bytes.subarray(0, length)), 'more')
      }
      const answer = readProxyHeader(Buffer.concat([bytes, payload]))
      assert.ok(answer !== 'more')
      assert.equal(answer.length, bytes.length)
      const { source: from, destination: to, version, command, ...rest } = answer.header
      assert.deepEqual(rest, facts)
      assert.deepEqual([version, command], [2, 'proxy'])
      assert.deepEqual([from?.port, to?.port], [source.port, destination.port])
      // The addresses come back in their one form, which builds the same bytes again.
      assert.deepEqual(buildProxyHeader({ version: 2, source: from!, destination: to!, ...facts }), bytes)
      if (/^\d+\.\d+\.\d+\.\d+$/.test(source.address)) assert.deepEqual(from, source)

      const first = buildProxyHeader({ version: 1, source, destination, ...facts })
      const again = readProxyHeader(Buffer.concat([first, payload]))
      assert.ok(again !== 'more' && again.length === first.length)
      if (again.header.source) assert.deepEqual([again.header.source, again.header.destination], [from, to])
    }),
    { numRuns: 500 },
  )
})

test('every header of HAProxy that names addresses can be built from what was read of it', () => {
  for (const { header } of CAPTURED) {
    const { source, destination, command: _, ...rest } = header
    if (!source || !destination) continue
    const answer = readProxyHeader(buildProxyHeader({ source, destination, ...rest }))
    assert.deepEqual(answer !== 'more' && answer.header, header)
  }
})

test('what a reader would refuse is not built', () => {
  const facts = { version: 2, source: SOURCE, destination: DESTINATION } as const
  const ssl = { clientTls: true, verified: true }
  for (const wrong of [
    { source: { address: 'mail.test', port: 1 } },
    { source: { address: '', port: 1 } },
    { source: { address: '1.2.3.4 5.6.7.8 1 2\r\n', port: 1 } },
    { destination: { address: '192.0.2.1', port: 65_536 } },
    { destination: { address: '192.0.2.1', port: -1 } },
    { destination: { address: '192.0.2.1', port: 1.5 } },
    { destination: { address: '192.0.2.1', port: Number.NaN } },
  ]) {
    for (const version of [1, 2] as const) {
      assert.throws(() => buildProxyHeader({ ...facts, ...wrong, version }), ProxyHeaderError)
    }
  }
  for (const wrong of [
    { alpn: '' },
    { alpn: 'a\0b' },
    { alpn: 'ł' },
    { uniqueId: Buffer.alloc(129) },
    { ssl: { ...ssl, commonName: 'alice\0' } },
    { ssl: { ...ssl, commonName: '' } },
    { ssl: { ...ssl, commonName: '\ud800' } },
    { ssl: { ...ssl, commonName: 'x'.repeat(5000) } },
    { ssl: { ...ssl, commonName: 'x'.repeat(70_000) } },
    { ssl: { ...ssl, cipher: 'a\tb' } },
    { ssl: { ...ssl, version: '' } },
  ]) {
    assert.throws(() => buildProxyHeader({ ...facts, ...wrong }), ProxyHeaderError, JSON.stringify(wrong).slice(0, 80))
  }
  assert.deepEqual(buildProxyHeader({ ...facts, alpn: undefined, ssl: undefined }), buildProxyHeader(facts))
})

test('the payload of a header that was built by itself stays apart', () => {
  const header = buildProxyHeader({ version: 1, source: SOURCE, destination: DESTINATION })
  const answer = readProxyHeader(Buffer.concat([header, line('* OK hello\r\n')]))
  assert.equal(answer !== 'more' && answer.length, header.length)
})
