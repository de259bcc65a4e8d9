import assert from 'node:assert/strict'
import net from 'node:net'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from '../../../src/net/crc32c.ts'
import { ProxyHeaderError, readProxyHeader, type ProxyHeader } from '../../../src/net/proxy-header.ts'
import { assertReads, CAPTURED, IPV4_BLOCK, line, SIGNATURE, ssl, tlv, v2, withTlvs } from './proxy-header-vectors.ts'

const ENDPOINTS = {
  source: { address: '127.0.0.1', port: 42 },
  destination: { address: '127.0.0.1', port: 1337 },
} as const

function read(bytes: Buffer): ProxyHeader {
  const answer = readProxyHeader(bytes)
  assert.notEqual(answer, 'more')
  assert.ok(answer !== 'more')
  assert.equal(answer.length, bytes.length)
  return answer.header
}

function refuses(bytes: Buffer, message?: RegExp): void {
  assert.throws(
    () => readProxyHeader(bytes),
    (error) => error instanceof ProxyHeaderError && (message === undefined || message.test(error.message)),
    bytes.toString('latin1'),
  )
}

/** Refused with the last of `bytes`, and not before it. */
function refusesAtTheEndOf(bytes: Buffer, message?: RegExp): void {
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(
      readProxyHeader(bytes.subarray(0, length)),
      'more',
      `${bytes.toString('latin1')} after ${length} bytes`,
    )
  }
  refuses(bytes, message)
}

describe('what HAProxy sends', () => {
  for (const { what, bytes, header } of CAPTURED) {
    test(`is read, whole, cut anywhere and followed by a payload: ${what}`, () => assertReads(bytes, header))
  }
})

describe('version 1', () => {
  test("reads the specification's example", () => {
    assertReads(line('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n'), {
      version: 1,
      command: 'proxy',
      source: { address: '192.168.0.1', port: 56324 },
      destination: { address: '192.168.0.11', port: 443 },
    })
  })

  test("reads the specification's longest lines", () => {
    const highest = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'
    const [ip4, ip6] = [`255.255.255.255 255.255.255.255 65535 65535\r\n`, `${highest} ${highest} 65535 65535\r\n`]
    assert.equal(read(line(`PROXY TCP4 ${ip4}`)).source?.address, '255.255.255.255')
    assert.equal(read(line(`PROXY TCP6 ${ip6}`)).source?.address, highest)
    const unknown = line(`PROXY UNKNOWN ${ip6}`)
    assert.equal(unknown.length, 107)
    assertReads(unknown, { version: 1, command: 'proxy' })
  })

  test('ignores whatever stands behind UNKNOWN', () => {
    for (const rest of ['', ' ', ' TCP4 1.2.3.4', ' \x00\xff PROXY', ' 999.999.999.999 :: 99999 x']) {
      assertReads(line(`PROXY UNKNOWN${rest}\r\n`), { version: 1, command: 'proxy' })
    }
  })

  test('writes addresses in one form, in lower case, and mapped ones as IPv4', () => {
    const header = read(line('PROXY TCP6 2001:DB8:0:0::00A1 ::FFFF:192.0.2.1 0 1\r\n'))
    assert.deepEqual(header.source, { address: '2001:db8::a1', port: 0 })
    assert.deepEqual(header.destination, { address: '192.0.2.1', port: 1 })
  })

  test('refuses a line at the first byte that it cannot have', () => {
    for (const text of [
      'a',
      'Pr',
      'PROXYX',
      'PROXY  ',
      'PROXY TCP5',
      'PROXY TCP4\r',
      'PROXY TCP4  ',
      'PROXY t',
      'PROXY UNKNOWNX',
      'PROXY UNKNOWN\n',
      'PROXY UNKNOWN\rx',
      'PROXY UNKNOWN \r\r',
      'PROXY TCP4 :',
      'PROXY TCP4 256',
      'PROXY TCP4 01',
      'PROXY TCP4 999',
      'PROXY TCP4 1..',
      'PROXY TCP4 1.2.3.4.',
      'PROXY TCP4 1.2.3 ',
      'PROXY TCP4 1.2.3.4 -',
      'PROXY TCP4 1.2.3.4 1.2.3.4 x',
      'PROXY TCP4 1.2.3.4 1.2.3.4 01',
      'PROXY TCP4 1.2.3.4 1.2.3.4 65536',
      'PROXY TCP4 1.2.3.4 1.2.3.4 +',
      'PROXY TCP4 1.2.3.4 1.2.3.4  ',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1 00',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1 2 ',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1\r',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1 \r',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx',
      'PROXY TCP6 1.',
      'PROXY TCP6 g',
      'PROXY TCP6 1::2::',
      'PROXY TCP6 12345',
      'PROXY TCP6 fe80::1%',
      'PROXY TCP6 ::1 1.',
      'PROXY TCP6 1:2:3:4:5:6:7:8:',
      'PROXY TCP6 ::ffff:1.2.3.4.',
    ]) {
      refusesAtTheEndOf(line(text))
    }
  })

  test('refuses a line that has no end within 107 bytes, at the byte that leaves no room for it', () => {
    refusesAtTheEndOf(line('PROXY UNKNOWN '.padEnd(106, 'x')), /more than 107/)
    const digits = ':1'.padStart(39, '0000:')
    refuses(line(`PROXY TCP6 ${digits} ${digits} 65535 65535`.padEnd(400, ' ')))
  })

  test('takes every beginning of every line for one', () => {
    const ports = fc.nat({ max: 65_535 })
    const lines = fc.oneof(
      fc.tuple(fc.constant('TCP4'), fc.ipV4(), fc.ipV4(), ports, ports),
      fc.tuple(fc.constant('TCP6'), fc.ipV6(), fc.ipV6(), ports, ports),
    )
    fc.assert(
      fc.property(lines, (words) => {
        const bytes = line(`PROXY ${words.join(' ')}\r\n`)
        const header = read(bytes)
        assert.ok(header.source && header.destination)
        assert.deepEqual([header.source.port, header.destination.port], words.slice(3))
        for (const [index, endpoint] of [header.source, header.destination].entries()) {
          const list = new net.BlockList()
          list.addAddress(String(words[index + 1]), words[0] === 'TCP4' ? 'ipv4' : 'ipv6')
          assert.ok(list.check(endpoint.address, net.isIP(endpoint.address) === 4 ? 'ipv4' : 'ipv6'))
        }
        for (let length = 0; length < bytes.length; length++) {
          assert.equal(readProxyHeader(bytes.subarray(0, length)), 'more')
        }
      }),
    )
  })
})

describe('version 2', () => {
  test('reads addresses of both families, and no more than the header', () => {
    assertReads(v2(0x21, 0x11, IPV4_BLOCK), { version: 2, command: 'proxy', ...ENDPOINTS })
    const block = Buffer.from(
      '20010db8000000000000000000000001' + '00000000000000000000ffffc0000201' + 'ffff0000',
      'hex',
    )
    assertReads(v2(0x21, 0x21, block), {
      version: 2,
      command: 'proxy',
      source: { address: '2001:db8::1', port: 65_535 },
      destination: { address: '192.0.2.1', port: 0 },
    })
  })

  test('accepts what has no address for it: unspecified, datagrams, sockets in the file system', () => {
    const header: ProxyHeader = { version: 2, command: 'proxy' }
    assertReads(v2(0x21, 0x00, Buffer.alloc(0)), header)
    assertReads(v2(0x21, 0x12, IPV4_BLOCK), header)
    assertReads(v2(0x21, 0x10, IPV4_BLOCK), header)
    assertReads(v2(0x21, 0x22, Buffer.alloc(36)), header)
    assertReads(v2(0x21, 0x31, Buffer.alloc(216, 'x')), header)
    assertReads(v2(0x21, 0x32, Buffer.alloc(216)), header)
    assert.deepEqual(read(v2(0x21, 0x31, Buffer.concat([Buffer.alloc(216), tlv(0x01, 'imap')]))).alpn, 'imap')
    assert.deepEqual(read(v2(0x21, 0x00, tlv(0x01, 'imap'))).alpn, 'imap')
  })

  test('discards all of a LOCAL header, whatever its family', () => {
    const header: ProxyHeader = { version: 2, command: 'local' }
    for (const family of [0x00, 0x11, 0x21, 0x31, 0x40, 0xff]) {
      assertReads(v2(0x20, family, Buffer.alloc(0)), header)
      assertReads(v2(0x20, family, Buffer.from('no vector at all')), header)
    }
  })

  test('refuses a header at the first byte that it cannot have', () => {
    refusesAtTheEndOf(line('\r\n\r\n\r'))
    refusesAtTheEndOf(line('\r\n\r\n\0\r\nQUIT\r'))
    for (const byte of ['00', '0a', '11', '22', '2f', '31']) {
      refusesAtTheEndOf(Buffer.from(`${SIGNATURE}${byte}`, 'hex'), /version|command/)
    }
    for (const byte of ['03', '13', '23', '41', 'f0', '1f']) {
      refusesAtTheEndOf(Buffer.from(`${SIGNATURE}21${byte}`, 'hex'), /family|transport/)
    }
    for (const length of ['10', '0ff1', 'ff']) {
      refusesAtTheEndOf(Buffer.from(`${SIGNATURE}2111${length}`, 'hex'), /more than 4096/)
      refusesAtTheEndOf(Buffer.from(`${SIGNATURE}2000${length}`, 'hex'), /more than 4096/)
    }
    refusesAtTheEndOf(Buffer.from(`${SIGNATURE}2111000b`, 'hex'), /too short/)
    refusesAtTheEndOf(Buffer.from(`${SIGNATURE}21210023`, 'hex'), /too short/)
    refusesAtTheEndOf(Buffer.from(`${SIGNATURE}213100d7`, 'hex'), /too short/)
  })

  test('reads the largest header that it allows', () => {
    const rest = 4096 - 16 - 12
    const bytes = withTlvs(tlv(0x04, Buffer.alloc(rest - 3)))
    assert.equal(bytes.length, 4096)
    assert.deepEqual(read(bytes), { version: 2, command: 'proxy', ...ENDPOINTS })
  })
})

describe('the vectors of version 2', () => {
  const base: ProxyHeader = { version: 2, command: 'proxy', ...ENDPOINTS }

  test('end with the header: what looks like one behind it is payload', () => {
    assertReads(withTlvs(tlv(0x02, '12345')), { ...base, authority: '12345' })
  })

  test('must fill the header exactly', () => {
    refuses(withTlvs(Buffer.from('02000a3132333435', 'hex')), /longer than what holds it/)
    refuses(withTlvs(Buffer.from('0200043132333435', 'hex')), /ends within/)
    refuses(withTlvs(Buffer.from('01', 'hex')), /ends within/)
    refuses(withTlvs(Buffer.from('0100', 'hex')), /ends within/)
    refuses(withTlvs(Buffer.from('010001', 'hex')), /longer/)
    refuses(withTlvs(Buffer.from('ffffff', 'hex')), /longer/)
  })

  test('are skipped if they are padding or of an unknown type, however often', () => {
    const unknown = [tlv(0x04, ''), tlv(0x04, 'xx'), tlv(0x30, 'ns'), tlv(0xea, '\0a'), tlv(0xea, '\0b'), tlv(0xff, '')]
    assertReads(withTlvs(...unknown, tlv(0x01, 'imap'), ...unknown), { ...base, alpn: 'imap' })
  })

  test('are refused when one that we act upon is there twice', () => {
    for (const twice of [tlv(0x01, 'imap'), tlv(0x02, 'a.test'), tlv(0x05, 'id'), ssl(0, 0)]) {
      refuses(withTlvs(twice, twice), /twice/)
    }
    for (const type of [0x21, 0x22, 0x23]) refuses(withTlvs(ssl(1, 0, tlv(type, 'a'), tlv(type, 'b'))), /twice/)
    const checksum = tlv(0x03, '\0\0\0\0')
    const signed = withTlvs(checksum, checksum)
    signed.writeUInt32BE(crc32c(signed), signed.length - 4)
    refuses(signed)
  })

  test('give the authority in lower case, and refuse one that is no host name', () => {
    const longest = `${'a'.repeat(63)}.`.repeat(3) + 'a'.repeat(61)
    for (const [sent, read] of [
      ['Mail.Example.TEST', 'mail.example.test'],
      ['localhost', 'localhost'],
      ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
      ['_imap.internal', '_imap.internal'],
      ['mail.example.test.', 'mail.example.test'],
      [longest, longest],
    ] as const) {
      assertReads(withTlvs(tlv(0x02, sent)), { ...base, authority: read })
    }
    for (const wrong of [
      '',
      '.',
      'a..',
      '.a',
      'a..b',
      '-a.test',
      'a-.test',
      'a b',
      'a\0.test',
      'a\r\nb',
      '*.test',
      'b\xc3\xbccher.test',
      'a/b',
      'a:993',
      `${'a'.repeat(64)}.test`,
      `${longest}a`,
    ]) {
      refuses(withTlvs(tlv(0x02, wrong)), /authority/)
    }
  })

  test('with an address for an authority name no server', () => {
    assertReads(withTlvs(tlv(0x02, '192.0.2.1')), base)
    assertReads(withTlvs(tlv(0x02, '2001:db8::1')), base)
  })

  test('give names as text, and refuse what is none', () => {
    for (const wrong of ['', 'a\0', 'a\n', '\x7f', '\xff', 'a'.repeat(256)]) {
      refuses(withTlvs(tlv(0x01, wrong)), /ALPN/)
      refuses(withTlvs(ssl(1, 0, tlv(0x21, wrong))), /TLS version/)
      refuses(withTlvs(ssl(1, 0, tlv(0x23, wrong))), /cipher/)
    }
    for (const wrong of ['', 'alice\0@evil.test', 'a\r\nb', '\xff', '\xc3']) {
      refuses(withTlvs(ssl(7, 0, tlv(0x22, wrong))), /common name/)
    }
    const header = read(withTlvs(ssl(7, 0, tlv(0x22, Buffer.from('Zoë Müller', 'utf8')))))
    assert.equal(header.ssl?.commonName, 'Zoë Müller')
  })

  test('give a unique id of up to 128 bytes, as a copy', () => {
    const bytes = withTlvs(tlv(0x05, Buffer.alloc(128, 0xff)))
    const { uniqueId } = read(bytes)
    bytes.fill(0)
    assert.deepEqual(uniqueId, Buffer.alloc(128, 0xff))
    assertReads(withTlvs(tlv(0x05, '')), { ...base, uniqueId: Buffer.alloc(0) })
    refuses(withTlvs(tlv(0x05, Buffer.alloc(129))), /unique id/)
  })

  test('call a client verified only where it came by TLS, gave a certificate, and that was good', () => {
    for (const [client, verify, verified] of [
      [0x01, 0, false],
      [0x03, 0, true],
      [0x05, 0, true],
      [0x07, 0, true],
      [0x06, 0, false],
      [0x07, 1, false],
      [0x07, 0x01000000, false],
      [0x00, 0, false],
      [0xf9, 0, false],
    ] as const) {
      assertReads(withTlvs(ssl(client, verify)), { ...base, ssl: { clientTls: (client & 1) === 1, verified } })
    }
  })

  test('within that of TLS must fill it exactly, and are skipped where unknown', () => {
    for (const wrong of ['', '01', '01000000']) refuses(withTlvs(tlv(0x20, Buffer.from(wrong, 'hex'))), /SSL vector/)
    refuses(withTlvs(ssl(1, 0, Buffer.from('21', 'hex'))), /ends within/)
    refuses(withTlvs(ssl(1, 0, Buffer.from('21000241', 'hex')), tlv(0x04, 'room behind')), /longer than what holds it/)
    const inner = [tlv(0x24, 'RSA-SHA256'), tlv(0x25, 'RSA2048'), tlv(0x02, 'no.authority.test'), tlv(0x21, 'TLSv1.3')]
    assertReads(withTlvs(ssl(1, 1, ...inner)), {
      ...base,
      ssl: { clientTls: true, verified: false, version: 'TLSv1.3' },
    })
  })

  test('with a checksum are accepted only if it is right, wherever it stands', () => {
    for (const tlvs of [
      [tlv(0x03, '\0\0\0\0')],
      [tlv(0x03, '\0\0\0\0'), tlv(0x01, 'imap')],
      [tlv(0x01, 'imap'), tlv(0x03, '\0\0\0\0')],
    ]) {
      const bytes = withTlvs(...tlvs)
      refuses(bytes, /checksum/)
      bytes.writeUInt32BE(crc32c(bytes), bytes.indexOf(Buffer.of(0x03, 0, 4)) + 3)
      assertReads(bytes, { ...base, ...(tlvs.length > 1 && { alpn: 'imap' }) })
      for (let bit = 16 * 8; bit < bytes.length * 8; bit++) {
        const flipped = Buffer.from(bytes)
        flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
        // A flipped type or length of the checksum's vector itself makes another vector of it, and no promise.
        if (flipped.indexOf(Buffer.of(0x03, 0, 4)) === bytes.indexOf(Buffer.of(0x03, 0, 4))) refuses(flipped)
      }
    }
    for (const wrong of ['', '\0\0\0', '\0\0\0\0\0']) refuses(withTlvs(tlv(0x03, wrong)), /checksum of \d bytes/)
  })
})

describe('any bytes', () => {
  test('are read, awaited or refused, and nothing else is ever thrown', () => {
    const starts = fc.constantFrom(
      Buffer.alloc(0),
      line('PROXY '),
      line('PROXY TCP6 '),
      Buffer.from(`${SIGNATURE}21`, 'hex'),
    )
    fc.assert(
      fc.property(starts, fc.uint8Array({ maxLength: 300 }), (start, rest) => {
        const bytes = Buffer.concat([start, rest])
        try {
          const answer = readProxyHeader(bytes)
          if (answer !== 'more') assert.ok(answer.length <= bytes.length)
        } catch (error) {
          assert.ok(error instanceof ProxyHeaderError)
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('once refused stay refused, and once read stay read, whatever follows', () => {
    const bases = CAPTURED.map(({ bytes }) => bytes)
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 })
    fc.assert(
      fc.property(fc.constantFrom(...bases), changes, fc.uint8Array({ maxLength: 40 }), (base, places, rest) => {
        const bytes = Buffer.concat([base, rest])
        for (const [at, byte] of places) bytes.writeUInt8(byte, at % bytes.length)
        const answers = Array.from({ length: bytes.length + 1 }, (_, length) => {
          try {
            return readProxyHeader(bytes.subarray(0, length))
          } catch (error) {
            assert.ok(error instanceof ProxyHeaderError)
            return 'refused'
          }
        })
        const decided = answers.findIndex((answer) => answer !== 'more')
        if (decided === -1) return
        for (const later of answers.slice(decided)) assert.deepEqual(later, answers[decided])
      }),
      { numRuns: 300 },
    )
  })

  test('of other protocols are refused at once', () => {
    for (const text of ['GET / HTTP/1.1\r\n', 'a1 LOGIN u p\r\n', 'QUIT\r\n', '\x16\x03\x01', '\n', '\0']) {
      refuses(line(text.slice(0, 1)))
    }
    // PASS begins like PROXY; the second byte is different.
    refusesAtTheEndOf(line('PA'))
  })
})

describe('CRC32C', () => {
  test('has the check value of its definition', () => {
    assert.equal(crc32c(Buffer.from('123456789')).toString(16), 'e3069283')
    assert.equal(crc32c(Buffer.alloc(0)), 0)
  })

  test("has the values of iSCSI's examples (RFC 3720 B.4)", () => {
    const ascending = Buffer.from(Array.from({ length: 32 }, (_, index) => index))
    assert.equal(crc32c(Buffer.alloc(32)).toString(16), '8a9136aa')
    assert.equal(crc32c(Buffer.alloc(32, 0xff)).toString(16), '62a8ab43')
    assert.equal(crc32c(ascending).toString(16), '46dd794e')
    assert.equal(crc32c(ascending.reverse()).toString(16), '113fdb5c')
  })
})
