/**
 * Reads the ClientHello of a TLS client (RFC 8446 4.1.2, RFC 5246 7.4.1.2) without answering it: the server name and the ALPN names.
 * Every length in it is checked, and the first byte that is invalid at its position is an error.
 */
import { isAddress } from '../net/address.ts'
import { parseServerName } from './server-name.ts'

/** The bytes are not the beginning of a valid ClientHello. `message` is for the log. */
export class ClientHelloError extends Error {
  override readonly name = 'ClientHelloError'
}

export type ClientHello = {
  /** in lower case; undefined if the client sent none, or sent an address */
  serverName: string | undefined
  /** the protocols that it offers, in order of preference, as latin1 */
  alpn: string[]
}

/** The ClientHello with its record heads. Current clients send less than 2 KiB, including post-quantum keys; in records of one byte, 12 KiB. */
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
 * A reader for one connection. It continues where it stopped, so that a ClientHello that arrives byte by byte, in records of one byte,
 * takes time in proportion to its length.
 * @returns a function that takes all bytes of the connection so far, and returns `more` while the ClientHello is incomplete. It throws
 * ClientHelloError. It must not be called again after a result or an error
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

/** The handshake message from the records received so far (RFC 8446 5.1). */
class Records {
  #message = Buffer.alloc(512) // enough without post-quantum keys; doubled if it is too small
  #have = 0
  #wanted = Infinity
  /** start of the current record */
  #at = 0
  /** number of bytes of that record's fragment that are in the message */
  #taken = 0

  get length(): number {
    return this.#have
  }

  slice(start: number, end: number): Buffer {
    return this.#message.subarray(start, Math.min(end, this.#have))
  }

  /** @param bytes all bytes received, including those of earlier calls */
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

/** @returns the length of the fragment, or undefined while the head is incomplete. Throws at the first byte that is invalid in a head */
function readRecordHead(bytes: Buffer, at: number): number | undefined {
  if (bytes[at] !== HANDSHAKE_RECORD) throw new ClientHelloError('not a TLS handshake')
  const major = bytes[at + 1]
  // The minor number has no meaning any more (RFC 8446 5.1); the major number is 3 in all versions.
  if (major !== undefined && major !== 3) throw new ClientHelloError('a record of an unknown TLS version')
  const [upper, lower] = [bytes[at + 3], bytes[at + 4]]
  if ((upper ?? 0) * 256 + (lower ?? 0) > MAX_RECORD_BYTES) throw new ClientHelloError('too long a TLS record')
  if (upper === undefined || lower === undefined) return undefined
  const length = upper * 256 + lower
  if (length === 0) throw new ClientHelloError('an empty TLS record') // forbidden by RFC 8446 5.1; a flood of them would cost CPU time
  return length
}

/** A parser that yields when it needs bytes that have not arrived, and is resumed when more have. */
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

/** RFC 6066 3: a list with at most one name of each type. Host names are the only defined type. */
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
  // Some clients send the address that they connect to (.NET before 8 on Linux), which is not a server name: it counts as none.
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

/** Reads one part of a message whose tail may not have arrived yet. It never reads past the announced end of the part. */
class Cursor {
  readonly #message: Records
  #at: number
  readonly #end: number

  constructor(message: Records, at: number, end: number) {
    this.#message = message
    this.#at = at
    this.#end = end
  }

  /** Number of bytes that are announced and not read. */
  get left(): number {
    return this.#end - this.#at
  }

  *byte(): Parser<number> {
    return (yield* this.#take(1)).readUInt8()
  }

  *uint16(): Parser<number> {
    return (yield* this.#take(2)).readUInt16BE()
  }

  /** The remaining bytes, as latin1. */
  *text(): Parser<string> {
    return (yield* this.#take(this.left)).toString('latin1')
  }

  skip(count: number): void {
    if (count > this.left) throw new ClientHelloError('a ClientHello with a part that does not fit into it')
    this.#at += count
  }

  /** The part behind a length of `lengthBytes`. It fails as soon as the first bytes of the length exceed the enclosing part. */
  *vector(lengthBytes: number): Parser<Cursor> {
    for (;;) {
      const written = this.#message.slice(this.#at, Math.min(this.#at + lengthBytes, this.#end))
      const length = written.reduce((sum, byte, index) => sum + byte * 256 ** (lengthBytes - 1 - index), 0)
      if (lengthBytes + length > this.left) this.skip(lengthBytes + length) // throws
      if (written.length === lengthBytes) {
        const start = this.#at + lengthBytes
        this.skip(lengthBytes + length)
        return new Cursor(this.#message, start, start + length)
      }
      yield
    }
  }

  /** Waits until the whole part has arrived, including skipped bytes. */
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
