/**
 * The PROXY protocol (HAProxy, doc/proxy-protocol.txt), versions 1 and 2: finds the end of a header, validates it and reads it; and
 * builds headers. proxy-protocol-js is the codec of the addresses, and gets only one complete header at a time. The caller decides
 * whether the peer may send a header, and has the deadline.
 * Over 250 lines: reader and builder of both versions share the constants of the format.
 */
import {
  Command,
  INETProtocol,
  IPv4Address,
  IPv4ProxyAddress,
  IPv6Address,
  IPv6ProxyAddress,
  Peer,
  TransportProtocol,
  V1ProxyProtocol,
  V2ProxyProtocol,
} from 'proxy-protocol-js'
import { addressOf, familyOf, octetsOf, parseAddress } from './address.ts'
import {
  buildTlvs,
  ProxyHeaderError,
  readTlvs,
  signHeader,
  UNSIGNED_CRC32C,
  type ProxyTlvs,
  type TlvFacts,
} from './proxy-tlv.ts'

export { ProxyHeaderError, type ProxySsl } from './proxy-tlv.ts'

/** An address in its shortest form, in lower case, without a zone; an IPv4 address is never written as IPv6. */
export type Endpoint = { address: string; port: number }

export type ProxyHeader = ProxyTlvs & {
  version: 1 | 2
  /** `local`: a health check by the proxy itself */
  command: 'proxy' | 'local'
  /** the client's end; absent with `destination` where the header names none */
  source?: Endpoint
  destination?: Endpoint
}

type Read = { length: number; header: ProxyHeader }

/** The specification's own worst case, CR LF included (2.1). */
const MAX_V1_BYTES = 107
/** HAProxy's largest are below 1 KiB; this leaves room for a long name and a long certificate subject, and bounds what is collected. */
const MAX_V2_BYTES = 4096

const V1_SIGNATURE = Buffer.from('PROXY ', 'latin1')
const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** Signature, version and command, family and transport, length. */
const V2_HEAD_BYTES = 16

/**
 * Reads the header at the beginning of `bytes`, however much of it has come.
 * @returns `more` while it is incomplete; else the header, and its length: what follows is the client's
 * @throws ProxyHeaderError as soon as the bytes cannot become a header any more
 */
export function readProxyHeader(bytes: Buffer): 'more' | Read {
  if (bytes.length === 0) return 'more'
  if (bytes[0] === V1_SIGNATURE[0]) return readV1(bytes)
  if (startsLike(bytes, V2_SIGNATURE)) return readV2(bytes)
  throw notAHeader()
}

function notAHeader(): ProxyHeaderError {
  return new ProxyHeaderError('no PROXY header: the connection begins with other bytes')
}

function startsLike(bytes: Buffer, signature: Buffer): boolean {
  const known = Math.min(bytes.length, signature.length)
  return bytes.compare(signature, 0, known, 0, known) === 0
}

function readV1(bytes: Buffer): 'more' | Read {
  if (!startsLike(bytes, V1_SIGNATURE)) throw notAHeader()
  const text = bytes.toString('latin1', 0, MAX_V1_BYTES)
  const end = text.search(/[\r\n]/)
  const line = end === -1 ? text : text.slice(0, end)
  if (line.length > MAX_V1_BYTES - 2) throw new ProxyHeaderError(`a PROXY line of more than ${MAX_V1_BYTES} bytes`)
  checkV1Line(line, { isWhole: end !== -1 })
  // 2.1: neither CR nor LF alone ends the line; they stand nowhere else in it either.
  const ending = end === -1 ? '' : text.slice(end, end + 2)
  if (!'\r\n'.startsWith(ending)) throw new ProxyHeaderError('the PROXY line does not end with CR LF')
  if (ending.length < 2) return 'more'

  const length = end + 2
  // For UNKNOWN everything up to the end of the line is to be ignored (2.1); the codec would refuse it.
  if (/^PROXY UNKNOWN/.test(line)) return { length, header: { version: 1, command: 'proxy' } }
  const { source, destination } = decode(() => V1ProxyProtocol.parse(text.slice(0, length)))
  return {
    length,
    header: {
      version: 1,
      command: 'proxy',
      source: { address: canonical(source.ipAddress), port: source.port },
      destination: { address: canonical(destination.ipAddress), port: destination.port },
    },
  }
}

/** Checks each word of the line, and of the last one, where the line is not whole, only whether it can still become one. */
function checkV1Line(line: string, { isWhole }: { isWhole: boolean }): void {
  const words = line.slice(V1_SIGNATURE.length).split(' ')
  const family = words[0] ?? ''
  const isPart = (index: number): boolean => !isWhole && index === words.length - 1
  if (!['TCP4', 'TCP6', 'UNKNOWN'].some((known) => (isPart(0) ? known.startsWith(family) : known === family))) {
    throw new ProxyHeaderError('the PROXY line names neither TCP4, TCP6 nor UNKNOWN')
  }
  if (family === 'UNKNOWN') return
  for (const [index, word] of words.entries()) {
    if (index === 0) continue
    if (index > 4) throw new ProxyHeaderError('the PROXY line has more than two addresses and two ports')
    const isRight = index <= 2 ? isAddress(word, family === 'TCP4' ? 4 : 6, isPart(index)) : isPort(word, isPart(index))
    if (!isRight) {
      const what = `${index % 2 === 1 ? 'source' : 'destination'} ${index <= 2 ? 'address' : 'port'}`
      throw new ProxyHeaderError(`the ${what} in the PROXY line is none for ${family}`)
    }
  }
  if (isWhole && words.length < 5) throw new ProxyHeaderError('the PROXY line ends before its addresses and ports')
}

/** One of these behind it makes an address of every beginning of one. */
const ADDRESS_ENDINGS = {
  4: ['', '0', '.0', '.0.0', '.0.0.0', '0.0', '0.0.0', '0.0.0.0'],
  6: ['', '0', ':', '::', '.0', '.0.0', '.0.0.0', '0.0', '0.0.0'],
} as const

function isAddress(word: string, family: 4 | 6, isPart: boolean): boolean {
  // An address with a zone (`fe80::1%eth0`) means nothing on another machine.
  if (!/^[\da-f.:]*$/i.test(word)) return false
  return (isPart ? ADDRESS_ENDINGS[family] : ['']).some((ending) => familyOf(word + ending) === family)
}

function isPort(word: string, isPart: boolean): boolean {
  return (isPart && word === '') || (/^(?:0|[1-9]\d{0,4})$/.test(word) && Number(word) <= 65_535)
}

const FAMILIES = [
  { name: 'UNSPEC', addressBytes: 0 },
  { name: 'INET', addressBytes: 12 },
  { name: 'INET6', addressBytes: 36 },
  { name: 'UNIX', addressBytes: 216 },
] as const
const STREAM = 1
const DATAGRAM = 2

function readV2(bytes: Buffer): 'more' | Read {
  const [versionAndCommand, familyAndTransport] = bytes.subarray(V2_SIGNATURE.length)
  if (versionAndCommand === undefined) return 'more'
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) {
    throw new ProxyHeaderError('the binary PROXY header has another version than 2, or an unknown command')
  }
  const isLocal = versionAndCommand === 0x20
  if (familyAndTransport === undefined) return 'more'
  const family = FAMILIES[familyAndTransport >> 4]
  const transport = familyAndTransport & 0xf
  // 2.2: of LOCAL the family is to be ignored, whatever it is.
  if (!isLocal && (!family || transport > DATAGRAM)) {
    throw new ProxyHeaderError('the PROXY header has an unknown address family or transport')
  }
  // The first byte of the length already tells most of what is too long.
  const [upper, lower = 0] = bytes.subarray(V2_HEAD_BYTES - 2, V2_HEAD_BYTES)
  if (upper === undefined) return 'more'
  const length = V2_HEAD_BYTES + upper * 256 + lower
  if (length > MAX_V2_BYTES) throw new ProxyHeaderError(`a PROXY header of more than ${MAX_V2_BYTES} bytes`)
  if (bytes.length < V2_HEAD_BYTES) return 'more'
  const addressEnd = V2_HEAD_BYTES + (family?.addressBytes ?? 0)
  if (!isLocal && length < addressEnd) {
    throw new ProxyHeaderError(`the PROXY header is too short for addresses of the family ${family?.name ?? ''}`)
  }
  if (bytes.length < length) return 'more'

  // 2.2: the whole block of a LOCAL header is discarded: it is neither used nor checked.
  if (isLocal) return { length, header: { version: 2, command: 'local' } }
  const whole = bytes.subarray(0, length)
  const tlvs = readTlvs(whole, addressEnd)
  // What is no TCP cannot have come to us over TCP: 2.2 has it treated as UNSPEC, and sockets in the file system have no address.
  const hasEndpoints = transport === STREAM && (family?.name === 'INET' || family?.name === 'INET6')
  return { length, header: { version: 2, command: 'proxy', ...(hasEndpoints && readEndpoints(whole)), ...tlvs } }
}

function readEndpoints(header: Buffer): { source: Endpoint; destination: Endpoint } {
  const { proxyAddress: addresses } = decode(() => V2ProxyProtocol.parse(header))
  if (!(addresses instanceof IPv4ProxyAddress || addresses instanceof IPv6ProxyAddress)) {
    throw new ProxyHeaderError('the PROXY header has no addresses')
  }
  return {
    source: { address: addressOf(addresses.sourceAddress.address), port: addresses.sourcePort },
    destination: { address: addressOf(addresses.destinationAddress.address), port: addresses.destinationPort },
  }
}

/** What the codec throws is no Error: no stack, and `instanceof Error` is false. */
function decode<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new ProxyHeaderError(`the PROXY header cannot be read: ${(error as { message: string }).message}`)
  }
}

/** @throws ProxyHeaderError */
function canonical(text: string): string {
  const place = parseAddress(text)
  if (!place) throw new ProxyHeaderError(`not an address: ${text}`)
  return place.address
}

export type ProxyHeaderFacts =
  { version: 1 | 2; local: true } | ({ version: 1 | 2; source: Endpoint; destination: Endpoint } & TlvFacts)

/**
 * A whole header to be written before anything else. Version 1 has no place for more than addresses of one family: it leaves the
 * rest out, and says UNKNOWN of mixed ones. Version 2 writes an IPv4 address as IPv6 beside an IPv6 one, and ends with a checksum.
 * @throws ProxyHeaderError where an address is none, or a value is one that `readProxyHeader` would refuse
 */
export function buildProxyHeader(facts: ProxyHeaderFacts): Buffer {
  if ('local' in facts) {
    if (facts.version === 1) return Buffer.from('PROXY UNKNOWN\r\n', 'latin1')
    return Buffer.concat([V2_SIGNATURE, Buffer.of(0x20, 0, 0, 0)]) // 2.2: a LOCAL header has no addresses and the length zero
  }
  const source = { address: canonical(facts.source.address), port: checkedPort(facts.source.port) }
  const destination = { address: canonical(facts.destination.address), port: checkedPort(facts.destination.port) }
  return facts.version === 1 ? buildV1(source, destination) : buildV2(source, destination, facts)
}

function buildV1(source: Endpoint, destination: Endpoint): Buffer {
  const family = familyOf(source.address)
  if (familyOf(destination.address) !== family) return Buffer.from('PROXY UNKNOWN\r\n', 'latin1')
  const [from, to] = [new Peer(source.address, source.port), new Peer(destination.address, destination.port)]
  const header = new V1ProxyProtocol(family === 4 ? INETProtocol.TCP4 : INETProtocol.TCP6, from, to)
  return Buffer.from(header.build(), 'latin1')
}

function buildV2(source: Endpoint, destination: Endpoint, tlvs: TlvFacts): Buffer {
  const area = Buffer.concat([buildTlvs(tlvs), UNSIGNED_CRC32C])
  const areBothIPv4 = familyOf(source.address) === 4 && familyOf(destination.address) === 4
  const addresses = areBothIPv4
    ? new IPv4ProxyAddress(ipv4(source), source.port, ipv4(destination), destination.port)
    : new IPv6ProxyAddress(ipv6(source), source.port, ipv6(destination), destination.port)
  const built = new V2ProxyProtocol(Command.PROXY, TransportProtocol.STREAM, addresses, area).build()
  const header = Buffer.from(built.buffer, built.byteOffset, built.length)
  if (header.length > MAX_V2_BYTES) throw new ProxyHeaderError(`a PROXY header of more than ${MAX_V2_BYTES} bytes`)
  // The codec's length covers the addresses alone: the vectors would be the client's first bytes.
  header.writeUInt16BE(header.length - V2_HEAD_BYTES, V2_HEAD_BYTES - 2)
  signHeader(header)
  return header
}

function checkedPort(port: number): number {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new ProxyHeaderError(`not a port: ${port}`)
  return port
}

const ipv4 = ({ address }: Endpoint): IPv4Address => IPv4Address.createFrom(octetsOf(address, 4))

/** IPv4 addresses become IPv4-mapped ones. */
const ipv6 = ({ address }: Endpoint): IPv6Address => IPv6Address.createFrom(octetsOf(address, 6))
