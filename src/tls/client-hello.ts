/**
 * Reads what a TLS client says first (RFC 8446 4.1.2, RFC 5246 7.4.1.2) without answering it: whom it wants, and to speak what.
 * No length in it is trusted, and it is refused at the first byte that a ClientHello cannot have there. Pure.
 */
import { isIP } from 'node:net'
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
 * @param bytes everything that has come on the connection so far, however it was cut
 * @returns `more` while the hello is incomplete
 * @throws ClientHelloError
 */
export function readClientHello(bytes: Buffer): 'more' | ClientHello {
  const handshake = joinRecords(bytes.subarray(0, MAX_BYTES))
  try {
    return parseHandshake(new Cursor(handshake, 0, MAX_BYTES - RECORD_HEAD_BYTES))
  } catch (error) {
    if (!(error instanceof Incomplete)) throw error
    if (bytes.length < MAX_BYTES) return 'more'
    throw new ClientHelloError(`no complete ClientHello in ${MAX_BYTES} bytes`)
  }
}

/** The handshake message out of the records that it came in (RFC 8446 5.1), as far as it has come. */
function joinRecords(bytes: Buffer): Buffer {
  const message = Buffer.alloc(bytes.length)
  let have = 0
  let wanted = Infinity
  for (let at = 0; at < bytes.length && have < wanted;) {
    const [type, major, , upper, lower] = bytes.subarray(at, at + RECORD_HEAD_BYTES)
    if (type !== HANDSHAKE_RECORD) throw new ClientHelloError('not a TLS handshake')
    // The minor number says nothing any more (RFC 8446 5.1), but nobody has sent another major one.
    if (major !== undefined && major !== 3) throw new ClientHelloError('a record of an unknown TLS version')
    if ((upper ?? 0) * 256 + (lower ?? 0) > MAX_RECORD_BYTES) throw new ClientHelloError('too long a TLS record')
    if (upper === undefined || lower === undefined) break
    const length = upper * 256 + lower
    if (length === 0) throw new ClientHelloError('an empty TLS record') // RFC 8446 5.1 forbids them, and they would cost us work
    const fragment = bytes.subarray(at + RECORD_HEAD_BYTES, at + RECORD_HEAD_BYTES + length)
    message.set(fragment, have)
    const before = have
    have += fragment.length
    if (have >= HANDSHAKE_HEAD_BYTES) wanted = HANDSHAKE_HEAD_BYTES + message.readUIntBE(1, 3)
    if (before + length > wanted) throw new ClientHelloError('more than the ClientHello in its TLS record')
    at += RECORD_HEAD_BYTES + length
  }
  return message.subarray(0, have)
}

function parseHandshake(handshake: Cursor): ClientHello {
  if (handshake.byte() !== CLIENT_HELLO) throw new ClientHelloError('a TLS handshake that begins with no ClientHello')
  const hello = handshake.vector(3)
  if (hello.byte() !== 3) throw new ClientHelloError('a ClientHello of an unknown TLS version')
  hello.skip(1 + 32) // the minor version, the random bytes
  if (hello.vector(1).left > 32) throw new ClientHelloError('a session id of more than 32 bytes')
  const suites = hello.vector(2).left
  if (suites < 2 || suites % 2 !== 0) throw new ClientHelloError('a malformed list of cipher suites')
  if (hello.vector(1).left < 1) throw new ClientHelloError('an empty list of compression methods')

  const found: ClientHello = { serverName: undefined, alpn: [] }
  const seen = new Set<number>()
  // A client of TLS 1.2 may end here, without extensions (RFC 5246 7.4.1.2).
  if (hello.left > 0) {
    const extensions = hello.vector(2)
    if (hello.left > 0) throw new ClientHelloError('bytes behind the extensions of the ClientHello')
    while (extensions.left > 0) {
      const type = extensions.uint16()
      if (seen.has(type)) throw new ClientHelloError(`the extension ${type} is there twice`) // RFC 8446 4.2
      seen.add(type)
      const extension = extensions.vector(2)
      if (type === SERVER_NAME) found.serverName = parseServerNames(extension)
      else if (type === ALPN) found.alpn = parseProtocols(extension)
    }
  }
  hello.finish()
  return found
}

/** RFC 6066 3: a list with one name of each type, of which only host names were ever defined. */
function parseServerNames(extension: Cursor): string | undefined {
  const list = onlyVector(extension, 'server names')
  const seen = new Set<number>()
  let serverName: string | undefined
  while (list.left > 0) {
    const type = list.byte()
    if (seen.has(type)) throw new ClientHelloError('two server names of one type')
    seen.add(type)
    const name = list.vector(2).text()
    if (type === HOST_NAME) serverName = checkServerName(name)
  }
  return serverName
}

function checkServerName(name: string): string | undefined {
  // Some clients send the address that they connect to (.NET before 8 on Linux). It is no name: they want whoever is there.
  if (isIP(name) !== 0) return undefined
  const checked = parseServerName(name)
  if (checked === undefined) throw new ClientHelloError('a server name that is no host name')
  return checked
}

/** RFC 7301 3.1: a list of non-empty names. */
function parseProtocols(extension: Cursor): string[] {
  const list = onlyVector(extension, 'application protocols')
  const protocols: string[] = []
  while (list.left > 0) {
    const protocol = list.vector(1).text()
    if (protocol === '') throw new ClientHelloError('an application protocol without a name')
    protocols.push(protocol)
  }
  return protocols
}

function onlyVector(extension: Cursor, what: string): Cursor {
  const list = extension.vector(2)
  if (extension.left > 0 || list.left === 0) throw new ClientHelloError(`a malformed list of ${what}`)
  return list
}

/** Not a fault: the end of what has come so far. */
class Incomplete extends Error {}

/** Reads on in bytes of which the tail may not have come yet, never past the end that was announced for them. */
class Cursor {
  readonly #bytes: Buffer
  #at: number
  readonly #end: number

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
  }

  /** How many bytes are announced and not read. */
  get left(): number {
    return this.#end - this.#at
  }

  byte(): number {
    return this.#take(1).readUInt8()
  }

  uint16(): number {
    return this.#take(2).readUInt16BE()
  }

  /** All that is left, as latin1. */
  text(): string {
    return this.#take(this.left).toString('latin1')
  }

  skip(count: number): void {
    if (count > this.left) throw new ClientHelloError('a ClientHello with a part that does not fit into it')
    this.#at += count
  }

  /** What a length of `lengthBytes` announces; it is refused as soon as its first bytes make it longer than what holds it. */
  vector(lengthBytes: number): Cursor {
    const written = this.#bytes.subarray(this.#at, Math.min(this.#at + lengthBytes, this.#end))
    const length = written.reduce((sum, byte, index) => sum + byte * 256 ** (lengthBytes - 1 - index), 0)
    const start = this.#at + lengthBytes
    this.skip(lengthBytes + length)
    if (written.length < lengthBytes) throw new Incomplete()
    return new Cursor(this.#bytes, start, start + length)
  }

  /** Makes sure that all of it has come, the skipped parts included. */
  finish(): void {
    if (this.#bytes.length < this.#end) throw new Incomplete()
  }

  #take(count: number): Buffer {
    const start = this.#at
    this.skip(count)
    if (this.#bytes.length < start + count) throw new Incomplete()
    return this.#bytes.subarray(start, start + count)
  }
}
