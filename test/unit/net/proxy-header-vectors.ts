/** PROXY headers for tests: captured from HAProxy, and made by hand from the specification's layout with nothing of src/ but the checksum. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { readProxyHeader, type ProxyHeader } from '../../../src/net/proxy-header.ts'

export const SIGNATURE = '0d0a0d0a000d0a515549540a'

/** A version 2 header: the length field says what is there, unless `length` says otherwise. */
export function v2(
  versionAndCommand: number,
  familyAndTransport: number,
  block: Buffer,
  length = block.length,
): Buffer {
  const head = Buffer.from(`${SIGNATURE}00000000`, 'hex')
  head[12] = versionAndCommand
  head[13] = familyAndTransport
  head.writeUInt16BE(length, 14)
  return Buffer.concat([head, block])
}

/** 127.0.0.1 port 42 to 127.0.0.1 port 1337, as HAProxy's own tests of vectors have it. */
export const IPV4_BLOCK = Buffer.from('7f0000017f000001002a0539', 'hex')

export function tlv(type: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value as string, 'latin1')
  const head = Buffer.of(type, 0, 0)
  head.writeUInt16BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** A header over IPv4 with these vectors behind its addresses. */
export function withTlvs(...tlvs: Buffer[]): Buffer {
  return v2(0x21, 0x11, Buffer.concat([IPV4_BLOCK, ...tlvs]))
}

export function ssl(client: number, verify: number, ...tlvs: Buffer[]): Buffer {
  const head = Buffer.of(client, 0, 0, 0, 0)
  head.writeUInt32BE(verify, 1)
  return tlv(0x20, Buffer.concat([head, ...tlvs]))
}

export const line = (text: string): Buffer => Buffer.from(text, 'latin1')

const LOOPBACK = '127.0.0.1'

/** What HAProxy 2.6.12 sent on the wire, and what it means. */
export const CAPTURED: { what: string; bytes: Buffer; header: ProxyHeader }[] = [
  {
    what: 'send-proxy over IPv4',
    bytes: line('PROXY TCP4 127.0.0.1 127.0.0.1 54630 29101\r\n'),
    header: {
      version: 1,
      command: 'proxy',
      source: { address: LOOPBACK, port: 54630 },
      destination: { address: LOOPBACK, port: 29101 },
    },
  },
  {
    what: 'send-proxy over IPv6',
    bytes: line('PROXY TCP6 ::1 ::1 49826 29105\r\n'),
    header: {
      version: 1,
      command: 'proxy',
      source: { address: '::1', port: 49826 },
      destination: { address: '::1', port: 29105 },
    },
  },
  {
    what: 'send-proxy for a client on a UNIX socket',
    bytes: line('PROXY UNKNOWN\r\n'),
    header: { version: 1, command: 'proxy' },
  },
  {
    what: 'send-proxy-v2 over IPv4',
    bytes: Buffer.from(`${SIGNATURE}2111000c7f0000017f000001a1d471ae`, 'hex'),
    header: {
      version: 2,
      command: 'proxy',
      source: { address: LOOPBACK, port: 41428 },
      destination: { address: LOOPBACK, port: 29102 },
    },
  },
  {
    what: 'send-proxy-v2 with a checksum over IPv6',
    bytes: Buffer.from(`${SIGNATURE}2121002b${'00'.repeat(15)}01${'00'.repeat(15)}01b04c71b0030004a134a947`, 'hex'),
    header: {
      version: 2,
      command: 'proxy',
      source: { address: '::1', port: 45132 },
      destination: { address: '::1', port: 29104 },
    },
  },
  {
    what: 'send-proxy-v2 for a client on a UNIX socket',
    bytes: Buffer.from(`${SIGNATURE}20000000`, 'hex'),
    header: { version: 2, command: 'local' },
  },
  {
    what: 'a health check with a checksum',
    bytes: Buffer.from(`${SIGNATURE}20000007030004a9b87e8f`, 'hex'),
    header: { version: 2, command: 'local' },
  },
  {
    what: 'send-proxy-v2-ssl-cn for a client without certificate: the verification result is 0 all the same',
    bytes: Buffer.from(
      `${SIGNATURE}211100887f0000017f000001d75e71af030004801e566d05002432346535623235642d323433312d346433362d393761662d` +
        '31346430306231623466333720004b0100000000210007544c5376312e32250005454332353624001165636473612d776974682d534841' +
        '32353623001d45434448452d45434453412d4145533235362d47434d2d534841333834',
      'hex',
    ),
    header: {
      version: 2,
      command: 'proxy',
      source: { address: LOOPBACK, port: 55134 },
      destination: { address: LOOPBACK, port: 29103 },
      uniqueId: line('24e5b25d-2431-4d36-97af-14d00b1b4f37'),
      ssl: { clientTls: true, verified: false, version: 'TLSv1.2', cipher: 'ECDHE-ECDSA-AES256-GCM-SHA384' },
    },
  },
  {
    what: 'send-proxy-v2-ssl-cn with every option, for a client with a certificate',
    bytes: Buffer.from(
      `${SIGNATURE}211100b17f0000017f000001cc1c71af030004db2dd591010004696d61700200114d61696c2e4578616d706c652e5465737405` +
        '002438383530323866632d346361322d343863342d386365312d36323136326239316463356520005907000000002100' +
        '07544c5376312e33220012616c696365406578616d706c652e746573742500054543323536240011' +
        '65636473612d776974682d534841323536230016544c535f4145535f3235365f47434d5f534841333834',
      'hex',
    ),
    header: {
      version: 2,
      command: 'proxy',
      source: { address: LOOPBACK, port: 52252 },
      destination: { address: LOOPBACK, port: 29103 },
      alpn: 'imap',
      authority: 'mail.example.test',
      uniqueId: line('885028fc-4ca2-48c4-8ce1-62162b91dc5e'),
      ssl: {
        clientTls: true,
        verified: true,
        version: 'TLSv1.3',
        commonName: 'alice@example.test',
        cipher: 'TLS_AES_256_GCM_SHA384',
      },
    },
  },
]

/** Asserts what `bytes` mean: whole, at each byte before, and with a payload behind that is not read. */
export function assertReads(bytes: Buffer, header: ProxyHeader): void {
  assert.deepEqual(readProxyHeader(bytes), { length: bytes.length, header })
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(readProxyHeader(bytes.subarray(0, length)), 'more', `after ${length} bytes`)
  }
  for (const payload of [
    'a',
    '\r\n',
    'a1 CAPABILITY\r\n',
    '\x16\x03\x01\x02\0',
    '\x02\0\x05evil!',
    bytes.toString('latin1'),
  ]) {
    assert.deepEqual(readProxyHeader(Buffer.concat([bytes, line(payload)])), { length: bytes.length, header })
  }
}

const ports = fc.nat({ max: 65_535 })
export const ipv4Endpoints = fc.record({ address: fc.ipV4(), port: ports }, { noNullPrototype: true })
export const ipv6Endpoints = fc.record({ address: fc.ipV6(), port: ports }, { noNullPrototype: true })
