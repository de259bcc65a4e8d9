/** ClientHellos for tests: taken from real clients over a socket, and made by hand. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { connect, type ConnectionOptions } from 'node:tls'
import { createClientHelloReader, type ClientHello } from '../../../src/tls/client-hello.ts'
import { within } from '../../support/deadline.ts'

/** All that a client says to a server that never answers, up to the end of the first handshake message. */
async function capture(start: (port: number) => () => void): Promise<Buffer> {
  const { promise: done, resolve, reject } = Promise.withResolvers<Buffer>()
  const server = createServer((socket: Socket) => {
    let bytes = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt16BE(3)) resolve(bytes)
    })
    void done.finally(() => socket.destroy()).catch(() => undefined)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const stop = start((server.address() as AddressInfo).port)
  try {
    return await within(10_000, done, () => 'no ClientHello came')
  } finally {
    stop()
    server.close()
  }
}

export function captureNode(options: ConnectionOptions): Promise<Buffer> {
  return capture((port) => {
    const socket = connect({ port, host: '127.0.0.1', ...options })
    socket.on('error', () => undefined) // nobody answers it
    return () => socket.destroy()
  })
}

/** @param args what `openssl s_client` is given besides the address */
export function captureOpenssl(...args: string[]): Promise<Buffer> {
  return capture((port) => {
    const child = execFile('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args], () => undefined)
    return () => void child.kill()
  })
}

/** The handshake message in its records. */
export function unwrap(records: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < records.length; at += 5 + records.readUInt16BE(at + 3)) {
    parts.push(records.subarray(at + 5, at + 5 + records.readUInt16BE(at + 3)))
  }
  return Buffer.concat(parts)
}

/** The message in records of these sizes, over and over. */
export function wrap(message: Buffer, ...sizes: number[]): Buffer {
  const parts: Buffer[] = []
  for (let at = 0, turn = 0; at < message.length; turn++) {
    const part = message.subarray(at, at + Math.min(sizes[turn % sizes.length] ?? message.length, 2 ** 14))
    parts.push(Buffer.of(22, 3, 1), vector(2, part))
    at += part.length
  }
  return Buffer.concat(parts)
}

/** A length of so many bytes, and what is as long as that. */
export function vector(lengthBytes: number, ...parts: Buffer[]): Buffer {
  const value = Buffer.concat(parts)
  const length = Buffer.alloc(lengthBytes)
  length.writeUIntBE(value.length, 0, lengthBytes)
  return Buffer.concat([length, value])
}

export function extension(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type >> 8, type & 0xff), vector(2, value)])
}

export function serverNames(...names: [type: number, name: string][]): Buffer {
  const entries = names.map(([type, name]) => Buffer.concat([Buffer.of(type), vector(2, Buffer.from(name, 'latin1'))]))
  return extension(0, vector(2, ...entries))
}

export function protocols(...names: string[]): Buffer {
  return extension(16, vector(2, ...names.map((name) => vector(1, Buffer.from(name, 'latin1')))))
}

/** A handshake message made by hand; what is not given is ordinary. */
export function hello(
  parts: Partial<{
    type: number
    version: number
    session: number
    suites: number
    compressions: number
    rest: Buffer
  }> & { extensions?: Buffer[] },
): Buffer {
  const body = Buffer.concat([
    Buffer.of(parts.version ?? 3, 3),
    Buffer.alloc(32, 0xaa),
    vector(1, Buffer.alloc(parts.session ?? 32)),
    vector(2, Buffer.alloc(parts.suites ?? 4)),
    vector(1, Buffer.alloc(parts.compressions ?? 1)),
    parts.extensions ? vector(2, ...parts.extensions) : Buffer.alloc(0),
    parts.rest ?? Buffer.alloc(0),
  ])
  return Buffer.concat([Buffer.of(parts.type ?? 1), vector(3, body)])
}

/** What a new reader makes of bytes that have come in one piece. */
export const readClientHello = (bytes: Buffer): 'more' | ClientHello => createClientHelloReader()(bytes)

/** Whole, after every byte before its end, and with something behind it. */
export function assertReads(bytes: Buffer, expected: ClientHello): void {
  const goesOn = createClientHelloReader()
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(readClientHello(bytes.subarray(0, length)), 'more', `after ${length} of ${bytes.length} bytes`)
    assert.equal(goesOn(bytes.subarray(0, length)), 'more', `in pieces, after ${length} of ${bytes.length} bytes`)
  }
  assert.deepEqual(goesOn(bytes), expected)
  assert.deepEqual(readClientHello(bytes), expected)
  // A client may go on at once: TLS 1.3 early data begins with a record of another type.
  for (const behind of ['140303000101', '1703030010', '16', 'ff']) {
    assert.deepEqual(readClientHello(Buffer.concat([bytes, Buffer.from(behind, 'hex')])), expected)
  }
}
