/**
 * The smallest IMAP client that can load a proxy: it logs in, sends one command at a time and counts literals without keeping them.
 * It believes what it reads, except that every command must be answered by its tagged OK.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext, TLSSocket } from 'node:tls'

/** Where to connect; with `tls`, from the first byte and without a session to resume, so that every handshake is a full one. */
export type Target = { port: number; tls: SecureContext | undefined }

export type Session = {
  /** Resolves at the tagged OK; rejects at NO, BAD, or when the connection ends first. */
  command(text: string): Promise<void>
  /** Resolves when both sides have closed. */
  closed: Promise<void>
  /** TLS version, cipher and key exchange; undefined in clear. */
  handshake(): string | undefined
  destroy(): void
}

/** 64 KiB is libuv's own read size: a larger one saved the client nothing on loopback. */
const READ_BYTES = 64 * 1024

/** One buffer for all connections: nothing that is read outlives the callback. */
const sharedReadBuffer = Buffer.allocUnsafe(READ_BYTES)

/** Cuts what arrives into lines and drops the contents of literals (RFC 3501 4.3). */
function createLineCutter(onLine: (line: string) => void): (chunk: Uint8Array, bytes: number) => void {
  let literalLeft = 0
  let partial = ''
  return (bytes, length) => {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, length)
    let at = 0
    while (at < length) {
      if (literalLeft > 0) {
        const skipped = Math.min(literalLeft, length - at)
        literalLeft -= skipped
        at += skipped
        continue
      }
      const lineEnd = chunk.indexOf(10, at)
      if (lineEnd < 0) {
        partial += chunk.toString('latin1', at, length)
        return
      }
      const line = partial + chunk.toString('latin1', at, lineEnd + 1)
      partial = ''
      at = lineEnd + 1
      if (line.endsWith('}\r\n')) literalLeft = Number(/\{(\d+)\}\r\n$/.exec(line)?.[1] ?? 0)
      onLine(line)
    }
  }
}

function connect(target: Target, onBytes: (chunk: Uint8Array, bytes: number) => void): Socket {
  const { port, tls } = target
  if (tls === undefined) {
    return connectTcp({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer: sharedReadBuffer,
        callback: (bytes, buffer) => {
          onBytes(buffer, bytes)
          return true
        },
      },
    })
  }
  const socket = connectTls({ host: '127.0.0.1', port, servername: 'localhost', secureContext: tls })
  socket.setNoDelay(true)
  socket.on('data', (chunk: Buffer) => onBytes(chunk, chunk.length))
  return socket
}

function describeHandshake(socket: TLSSocket): string {
  const key = socket.getEphemeralKeyInfo()
  const group = key !== null && 'name' in key ? key.name : 'unknown group'
  return [socket.getProtocol() ?? 'unknown version', socket.getCipher().name, group].join(' ')
}

/** Connects and reads the greeting. */
export async function openSession(target: Target): Promise<Session> {
  let waiting: { prefix: string; resolve: () => void; reject: (cause: Error) => void } | undefined
  let tagNumber = 0

  const socket = connect(
    target,
    createLineCutter((line) => {
      if (waiting === undefined || !line.startsWith(waiting.prefix)) return
      const { prefix, resolve, reject } = waiting
      waiting = undefined
      if (line.startsWith('OK', prefix.length)) resolve()
      else reject(new Error(`answered ${line.trimEnd()}`))
    }),
  )
  const expect = (prefix: string): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting = { prefix, resolve, reject }
    })

  let failure: Error | undefined
  const closed = new Promise<void>((resolve) => {
    socket.on('error', (cause) => (failure = cause))
    socket.on('close', () => {
      waiting?.reject(failure ?? new Error(`the connection ended before ${waiting.prefix}`))
      resolve()
    })
  })

  await expect('* ')
  return {
    command(text) {
      const tag = `t${++tagNumber} `
      const answered = expect(tag)
      socket.write(`${tag}${text}\r\n`)
      return answered
    },
    closed,
    handshake: () => (socket instanceof TLSSocket ? describeHandshake(socket) : undefined),
    destroy: () => socket.destroy(),
  }
}
