/**
 * Reads what a TLS client says first (RFC 8446 4.1.2, RFC 5246 7.4.1.2) without answering it: whom it wants, and to speak what.
 * No length in it is trusted, and it is refused at the first byte that a ClientHello cannot have there.
 */
import { isAddress } from '../net/address.ts'
import { parseServerName } from './server-name.ts'

/** What is no TLS ClientHello and cannot become one. `message` is for the log. */
export class ClientHelloError extends Error {
  override readonly name = 'ClientHelloError'
}

export type ClientHello = {
  /** in lower case; undefined where the client named none, or named an address */
  serverName: string | undefined
  /** the protocols it offers, its favourite first, as latin1 */
  alpn: string[]
}

/** Everything up to the end of the hello. Those of today, post-quantum keys included, are below 2 KiB; in records of one byte, 12 KiB. */
const MAX_BYTES = 16 * 1024
/** RFC 8446 5.1 */
const MAX_RECORD_BYTES = 2 ** 14

const HANDSHAKE_RECORD = 22
const RECORD_HEAD_BYTES = 5
const HANDSHAKE_HEAD_BYTES = 4
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const ALPN = 16

/**
 * A reader for one connection. It goes on where it stopped: a hello that comes byte by byte, in records of one byte, costs time in
 * proportion to its length.
 * @returns a function that takes all the bytes that have come on the connection so far, and gives `more` while the hello is incomplete;
 * it throws ClientHelloError, and is not to be called again after a result or an error
 */
export function createClientHelloReader(): (bytes: Buffer) => 'more' | ClientHello {
  const records = new Records()
  const hello = parseHandshake(new Cursor(records, 0, MAX_BYTES - RECORD_HEAD_BYTES))
  return (bytes) => {
    records.take(bytes.subarray(0, MAX_BYTES))
    const { done, value } = hello.next()
    if (done === true) return value
    if (bytes.length < MAX_BYTES) return 'more'
    throw new ClientHelloError(`no complete ClientHello in ${MAX_BYTES} bytes`)
  }
}

/** The handshake message out of the records that it came in (RFC 8446 5.1), as far as it has come. */
class Records {
  #message = Buffer.alloc(512) // doubled where it is too small: a hello without post-quantum keys fits
  #have = 0
  #wanted = Infinity
  /** where the record begins that is being read */
  #at = 0
  /** how much of that record's fragment is in the message */
  #taken = 0

  get length(): number {
    return this.#have
  }

  slice(start: number, end: number): Buffer {
    return this.#message.subarray(start, Math.min(end, this.#have))
  }

  /** @param bytes all that have come, those of earlier calls included */
  take(bytes: Buffer): void {
    while (this.#at < bytes.length && this.#have < this.#wanted) {
      const length = readRecordHead(bytes, this.#at)
      if (length === undefined) return
      const start = this.#at + RECORD_HEAD_BYTES
      const before = this.#have - this.#taken
      const fragment = bytes.subarray(start + this.#taken, start + length)
      this.#append(fragment)
      this.#taken += fragment.length
      if (this.#have >= HANDSHAKE_HEAD_BYTES) this.#wanted = HANDSHAKE_HEAD_BYTES + this.#message.readUIntBE(1, 3)
      if (before + length > this.#wanted) throw new ClientHelloError('more than the ClientHello in its TLS record')
      if (this.#taken < length) return
      this.#at = start + length
      this.#taken = 0
    }
  }

  #append(fragment: Buffer): void {
    const have = this.#have + fragment.length
    if (have > this.#message.length) {
      const larger = Buffer.alloc(Math.max(have, 2 * this.#message.length))
      larger.set(this.#message)
      this.#message = larger
    }
    this.#message.set(fragment, this.#have)
    this.#have = have
  }
}

/** @returns the length of the fragment, undefined while the head is incomplete; throws at the first byte that no head can have there */
function readRecordHead(bytes: Buffer, at: number): number | undefined {
  if (bytes[at] !== HANDSHAKE_RECORD) throw new ClientHelloError('not a TLS handshake')
  const major = bytes[at + 1]
  // The minor number says nothing any more (RFC 8446 5.1), but no version has had another major one.
  if (major !== undefined && major !== 3) throw new ClientHelloError('a record of an unknown TLS version')
  const [upper, lower] = [bytes[at + 3], bytes[at + 4]]
  if ((upper ?? 0) * 256 + (lower ?? 0) > MAX_RECORD_BYTES) throw new ClientHelloError('too long a TLS record')
  if (upper === undefined || lower === undefined) return undefined
  const length = upper * 256 + lower
  if (length === 0) throw new ClientHelloError('an empty TLS record') // RFC 8446 5.1 forbids them, and they would cost us work
  return length
}

/** A parser that yields where it needs bytes that have not come, and is resumed when there are more. */
type Parser<T> = Generator<void, T, void>

function* parseHandshake(handshake: Cursor): Parser<ClientHello> {
  if ((yield* handshake.byte()) !== CLIENT_HELLO)
    throw new ClientHelloError('a TLS handshake that begins with no ClientHello')
  const hello = yield* handshake.vector(3)
  if ((yield* hello.byte()) !== 3) throw new ClientHelloError('a ClientHello of an unknown TLS version')
  hello.skip(1 + 32) // the minor version, the random bytes
  if ((yield* hello.vector(1)).left > 32) throw new ClientHelloError('a session id of more than 32 bytes')
  const suites = (yield* hello.vector(2)).left
  if (suites < 2 || suites % 2 !== 0) throw new ClientHelloError('a malformed list of cipher suites')
  if ((yield* hello.vector(1)).left < 1) throw new ClientHelloError('an empty list of compression methods')

  const found: ClientHello = { serverName: undefined, alpn: [] }
  const seen = new Set<number>()
  // A client of TLS 1.2 may end here, without extensions (RFC 5246 7.4.1.2).
  if (hello.left > 0) {
    const extensions = yield* hello.vector(2)
    if (hello.left > 0) throw new ClientHelloError('bytes behind the extensions of the ClientHello')
    while (extensions.left > 0) {
      const type = yield* extensions.uint16()
      if (seen.has(type)) throw new ClientHelloError(`the extension ${type} is there twice`) // RFC 8446 4.2
      seen.add(type)
      const extension = yield* extensions.vector(2)
      if (type === SERVER_NAME) found.serverName = yield* parseServerNames(extension)
      else if (type === ALPN) found.alpn = yield* parseProtocols(extension)
    }
  }
  yield* hello.finish()
  return found
}

/** RFC 6066 3: a list with one name of each type, of which only host names were ever defined. */
function* parseServerNames(extension: Cursor): Parser<string | undefined> {
  const list = yield* onlyVector(extension, 'server names')
  const seen = new Set<number>()
  let serverName: string | undefined
  while (list.left > 0) {
    const type = yield* list.byte()
    if (seen.has(type)) throw new ClientHelloError('two server names of one type')
    seen.add(type)
    const name = yield* (yield* list.vector(2)).text()
    if (type === HOST_NAME) serverName = checkServerName(name)
  }
  return serverName
}

function checkServerName(name: string): string | undefined {
  // Some clients send the address that they connect to (.NET before 8 on Linux). It is no name: they want whoever is there.
  if (isAddress(name)) return undefined
  const checked = parseServerName(name)
  if (checked === undefined) throw new ClientHelloError('a server name that is no host name')
  return checked
}

/** RFC 7301 3.1: a list of non-empty names. */
function* parseProtocols(extension: Cursor): Parser<string[]> {
  const list = yield* onlyVector(extension, 'application protocols')
  const protocols: string[] = []
  while (list.left > 0) {
    const protocol = yield* (yield* list.vector(1)).text()
    if (protocol === '') throw new ClientHelloError('an application protocol without a name')
    protocols.push(protocol)
  }
  return protocols
}

function* onlyVector(extension: Cursor, what: string): Parser<Cursor> {
  const list = yield* extension.vector(2)
  if (extension.left > 0 || list.left === 0) throw new ClientHelloError(`a malformed list of ${what}`)
  return list
}

/** Reads on in a message of which the tail may not have come yet, never past the end that was announced for the part. */
class Cursor {
  readonly #message: Records
  #at: number
  readonly #end: number

  constructor(message: Records, at: number, end: number) {
    this.#message = message
    this.#at = at
    this.#end = end
  }

  /** How many bytes are announced and not read. */
  get left(): number {
    return this.#end - this.#at
  }

  *byte(): Parser<number> {
    return (yield* this.#take(1)).readUInt8()
  }

  *uint16(): Parser<number> {
    return (yield* this.#take(2)).readUInt16BE()
  }

  /** All that is left, as latin1. */
  *text(): Parser<string> {
    return (yield* this.#take(this.left)).toString('latin1')
  }

  skip(count: number): void {
    if (count > this.left) throw new ClientHelloError('a ClientHello with a part that does not fit into it')
    this.#at += count
  }

  /** What a length of `lengthBytes` announces; it is refused as soon as its first bytes make it longer than what holds it. */
  *vector(lengthBytes: number): Parser<Cursor> {
    for (;;) {
      const written = this.#message.slice(this.#at, Math.min(this.#at + lengthBytes, this.#end))
      const length = written.reduce((sum, byte, index) => sum + byte * 256 ** (lengthBytes - 1 - index), 0)
      if (lengthBytes + length > this.left) this.skip(lengthBytes + length) // which refuses it
      if (written.length === lengthBytes) {
        const start = this.#at + lengthBytes
        this.skip(lengthBytes + length)
        return new Cursor(this.#message, start, start + length)
      }
      yield
    }
  }

  /** Makes sure that all of it has come, the skipped parts included. */
  *finish(): Parser<void> {
    while (this.#message.length < this.#end) yield
  }

  *#take(count: number): Parser<Buffer> {
    const start = this.#at
    this.skip(count)
    while (this.#message.length < start + count) yield
    return this.#message.slice(start, start + count)
  }
}
