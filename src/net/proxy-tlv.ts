/**
 * The type-length-value vectors behind the addresses of a version 2 PROXY header (its specification, 2.2.1 to 2.2.7), both ways.
 * Every length is checked against that of the enclosing field. A TLV that mailmux uses must be valid in every part; unknown types are skipped.
 */
import { isAddress } from './address.ts'
import { crc32c } from './crc32c.ts'

/** What is no PROXY header and cannot become one, or facts that no header can carry. `message` is for the log. */
export class ProxyHeaderError extends Error {
  override readonly name = 'ProxyHeaderError'
}

/** The client's TLS connection with the proxy, as the proxy tells it. */
export type ProxySsl = {
  clientTls: boolean
  /** the client presented a certificate, and it was found good: without that, `commonName` is a claim and nothing more */
  verified: boolean
  version?: string
  commonName?: string
  cipher?: string
}

export type ProxyTlvs = {
  alpn?: string
  /** the server name that the client asked for, in lower case */
  authority?: string
  ssl?: ProxySsl
  uniqueId?: Buffer
}

/** What a header of ours is to say; undefined is not said. */
export type TlvFacts = { [K in keyof ProxyTlvs]: ProxyTlvs[K] | undefined }

const TYPE = { alpn: 0x01, authority: 0x02, crc32c: 0x03, noop: 0x04, uniqueId: 0x05, ssl: 0x20 } as const
const SSL_TYPE = { version: 0x21, commonName: 0x22, cipher: 0x23 } as const

/** The bits of the SSL vector's first byte: came by TLS; gave a certificate on this connection, or on the session it resumes. */
const CLIENT_TLS = 0x01
const CLIENT_CERTIFICATE = 0x02 | 0x04

/** Letters, digits and hyphens (RFC 1123 2.1), and the underscores that names inside companies have. */
const HOST_NAME = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/i

const MAX_UNIQUE_ID_BYTES = 128
/** What an ALPN name can have (RFC 7301 3.1); no name of a TLS version or cipher is half as long. */
const MAX_NAME_BYTES = 255

/** Types that may occur only once: with two values, readers would use different ones. */
const ONCE = new Set<number>([
  TYPE.alpn,
  TYPE.authority,
  TYPE.crc32c,
  TYPE.uniqueId,
  TYPE.ssl,
  ...Object.values(SSL_TYPE),
])

/**
 * Reads the vectors that begin at `start` and end with the header, and checks the checksum where there is one.
 * What is returned shares no memory with `header`.
 * @throws ProxyHeaderError
 */
export function readTlvs(header: Buffer, start: number): ProxyTlvs {
  const tlvs: ProxyTlvs = {}
  for (const { type, value, at } of walk(header, start)) {
    if (type === TYPE.alpn) tlvs.alpn = readText(value, 'ALPN')
    else if (type === TYPE.ssl) tlvs.ssl = readSsl(value)
    else if (type === TYPE.crc32c) checkCrc32c(header, at, value.length)
    else if (type === TYPE.uniqueId) tlvs.uniqueId = readUniqueId(value)
    else if (type === TYPE.authority) {
      const authority = readAuthority(value)
      if (authority !== undefined) tlvs.authority = authority
    }
  }
  return tlvs
}

/** The vectors of `bytes` from `start` on; `at` is where the value stands in them. */
function* walk(bytes: Buffer, start: number): Generator<{ type: number; value: Buffer; at: number }> {
  const seen = new Set<number>()
  for (let at = start; at < bytes.length;) {
    if (at + 3 > bytes.length) throw new ProxyHeaderError('the PROXY header ends within the head of a vector')
    const type = bytes.readUInt8(at)
    const end = at + 3 + bytes.readUInt16BE(at + 1)
    if (end > bytes.length) throw new ProxyHeaderError(`the vector ${hex(type)} is longer than what holds it`)
    if (ONCE.has(type) && seen.has(type)) throw new ProxyHeaderError(`the vector ${hex(type)} is there twice`)
    seen.add(type)
    yield { type, value: bytes.subarray(at + 3, end), at: at + 3 }
    at = end
  }
}

/** The sender computed the checksum with zeros in its own place (2.2.3). */
function checkCrc32c(header: Buffer, at: number, length: number): void {
  if (length !== 4) throw new ProxyHeaderError(`a checksum of ${length} bytes in place of 4`)
  const unsigned = Buffer.from(header).fill(0, at, at + 4)
  if (crc32c(unsigned) !== header.readUInt32BE(at)) throw new ProxyHeaderError('the checksum of the header is wrong')
}

function readSsl(value: Buffer): ProxySsl {
  if (value.length < 5) throw new ProxyHeaderError('the SSL vector ends before its verification result')
  const client = value.readUInt8(0)
  // HAProxy writes the result 0 where the client gave no certificate at all: only both together mean a verified one.
  const verified = (client & CLIENT_TLS) !== 0 && (client & CLIENT_CERTIFICATE) !== 0 && value.readUInt32BE(1) === 0
  const ssl: ProxySsl = { clientTls: (client & CLIENT_TLS) !== 0, verified }
  for (const { type, value: text } of walk(value, 5)) {
    if (type === SSL_TYPE.version) ssl.version = readText(text, 'TLS version')
    else if (type === SSL_TYPE.cipher) ssl.cipher = readText(text, 'cipher')
    else if (type === SSL_TYPE.commonName) ssl.commonName = readCommonName(text)
  }
  return ssl
}

function readText(value: Buffer, what: string): string {
  const text = value.toString('latin1')
  if (!/^[\x20-\x7e]+$/.test(text) || text.length > MAX_NAME_BYTES) {
    throw new ProxyHeaderError(`the ${what} in the PROXY header is no printable name`)
  }
  return text
}

/** A name out of a certificate may decide whose mailbox this is; a NUL in it has fooled others before. */
function readCommonName(value: Buffer): string {
  const text = decodeUtf8(value)
  if (text === undefined || text === '' || /\p{Cc}/u.test(text)) {
    throw new ProxyHeaderError('the common name in the PROXY header is no text')
  }
  return text
}

function decodeUtf8(value: Buffer): string | undefined {
  const text = value.toString('utf8')
  return Buffer.from(text, 'utf8').equals(value) ? text : undefined
}

function readUniqueId(value: Buffer): Buffer {
  if (value.length > MAX_UNIQUE_ID_BYTES) {
    throw new ProxyHeaderError(`a unique id of ${value.length} bytes; ${MAX_UNIQUE_ID_BYTES} are allowed`)
  }
  return Buffer.from(value)
}

/** Undefined for an address: it names no server, but some clients send the one they connect to (.NET before 8 on Linux), and proxies copy it. */
function readAuthority(value: Buffer): string | undefined {
  const text = value.toString('latin1')
  if (isAddress(text)) return undefined
  const authority = parseAuthority(text)
  if (authority === undefined) throw new ProxyHeaderError('the authority in the PROXY header is no host name')
  return authority
}

/** A host name in lower case, without a dot at its end. tls/server-name.ts keeps the same rule, and a test holds the two together. */
function parseAuthority(text: string): string | undefined {
  const name = text.endsWith('.') ? text.slice(0, -1) : text
  const isName = name.length <= 253 && HOST_NAME.test(name) && !isAddress(name)
  return isName ? name.toLowerCase() : undefined
}

/**
 * The vectors that say `tlvs`, without the checksum.
 * An `authority` that is no host name is left out: it is whatever the client wrote, and would make the back end refuse us.
 * @throws ProxyHeaderError where another value is one that `readTlvs` would refuse
 */
export function buildTlvs(tlvs: TlvFacts): Buffer {
  const authority = parseAuthority(tlvs.authority ?? '')
  return Buffer.concat([
    ...(tlvs.alpn === undefined ? [] : [nameVector(TYPE.alpn, tlvs.alpn, 'ALPN')]),
    ...(authority === undefined ? [] : [vector(TYPE.authority, Buffer.from(authority, 'latin1'))]),
    ...(tlvs.uniqueId ? [vector(TYPE.uniqueId, readUniqueId(tlvs.uniqueId))] : []),
    ...(tlvs.ssl ? [vector(TYPE.ssl, buildSsl(tlvs.ssl))] : []),
  ])
}

function buildSsl({ clientTls, verified, version, commonName, cipher }: ProxySsl): Buffer {
  const gaveCertificate = verified || commonName !== undefined
  const head = Buffer.alloc(5)
  head.writeUInt8((clientTls ? CLIENT_TLS : 0) | (gaveCertificate ? CLIENT_CERTIFICATE : 0))
  head.writeUInt32BE(verified ? 0 : 1, 1)
  return Buffer.concat([
    head,
    ...(version === undefined ? [] : [nameVector(SSL_TYPE.version, version, 'TLS version')]),
    ...(commonName === undefined ? [] : [vector(SSL_TYPE.commonName, checked(commonName, 'utf8', readCommonName))]),
    ...(cipher === undefined ? [] : [nameVector(SSL_TYPE.cipher, cipher, 'cipher')]),
  ])
}

function nameVector(type: number, name: string, what: string): Buffer {
  return vector(
    type,
    checked(name, 'latin1', (value) => readText(value, what)),
  )
}

/** The bytes of `text`, once the reader's own check has let them pass. */
function checked(text: string, encoding: 'latin1' | 'utf8', check: (value: Buffer) => unknown): Buffer {
  const value = Buffer.from(text, encoding)
  if (value.toString(encoding) !== text) throw new ProxyHeaderError('a value for the PROXY header has no encoding')
  check(value)
  return value
}

/** The checksum's vector, its value still zeros: the header is complete when `signHeader` has filled it in. */
export const UNSIGNED_CRC32C: Uint8Array = Uint8Array.of(TYPE.crc32c, 0, 4, 0, 0, 0, 0)

/** Computes the checksum of a header that ends with `UNSIGNED_CRC32C`, and writes it there. */
export function signHeader(header: Buffer): void {
  header.writeUInt32BE(crc32c(header), header.length - 4)
}

function vector(type: number, value: Buffer): Buffer {
  // Longer than the length field can say is longer than the whole header may be; the caller checks that.
  return Buffer.concat([Buffer.of(type, (value.length >> 8) & 0xff, value.length & 0xff), value])
}

function hex(type: number): string {
  return `0x${type.toString(16).padStart(2, '0')}`
}
