/**
 * The smallest IMAP and POP3 client that can load a proxy: it logs in, sends one command at a time and counts literals without keeping
 * them. It believes what it reads, except that every command must be answered by OK.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext, TLSSocket } from 'node:tls'
import type { Protocol } from './load-orders.ts'

/** Where to connect; with `tls`, from the first byte. With `ticket`, a session that the server may resume. */
export type Target = {
  port: number
  protocol: Protocol
  tls: SecureContext | undefined
  ticket?: Buffer | undefined
  proxyHeader?: true | undefined
}

export type Session = {
  /** Resolves at the OK; rejects at any other answer, or when the connection ends first. `body`, if any, follows the command at once. */
  command(text: string, body?: Buffer): Promise<void>
  /** Resolves when both sides have closed. */
  closed: Promise<void>
  /** TLS version, cipher and key exchange; undefined in clear. */
  handshake(): string | undefined
  /** whether the server has resumed the session of the ticket */
  resumed(): boolean
  /** the newest ticket that the server has sent */
  ticket(): Buffer | undefined
  /** bytes of literals so far */
  literalBytes(): number
  /** for what is no command: a DONE, a pause in reading, an abort half-way */
  socket: Socket
  destroy(): void
}

/** 64 KiB is libuv's own read size: a larger one saved the client nothing on loopback. */
const READ_BYTES = 64 * 1024

/** One buffer for all connections: nothing that is read outlives the callback. */
const sharedReadBuffer = Buffer.allocUnsafe(READ_BYTES)

type LineCutter = { cut: (bytes: Uint8Array, length: number) => void; literalBytes: () => number }

/** Cuts what arrives into lines and drops the contents of literals (RFC 3501 4.3). POP3's single-line answers end in no brace. */
function createLineCutter(onLine: (line: string) => void): LineCutter {
  let literalLeft = 0
  let literalBytes = 0
  let partial = ''
  const cut = (bytes: Uint8Array, length: number): void => {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, length)
    let at = 0
    while (at < length) {
      if (literalLeft > 0) {
        const skipped = Math.min(literalLeft, length - at)
        literalLeft -= skipped
        literalBytes += skipped
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
  return { cut, literalBytes: () => literalBytes }
}

function connect(target: Target, onBytes: (chunk: Uint8Array, bytes: number) => void): Socket {
  const { port, tls, ticket } = target
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
  const resumption = ticket === undefined ? {} : { session: ticket }
  const socket = connectTls({ host: '127.0.0.1', port, servername: 'localhost', secureContext: tls, ...resumption })
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
  const isImap = target.protocol === 'imap'
  const good = isImap ? 'OK' : '+OK'
  let waiting: { prefix: string; resolve: () => void; reject: (cause: Error) => void } | undefined
  let tagNumber = 0
  let ticket: Buffer | undefined

  const lines = createLineCutter((line) => {
    if (waiting === undefined || !line.startsWith(waiting.prefix)) return
    const { prefix, resolve, reject } = waiting
    waiting = undefined
    if (line.startsWith(good, prefix.length)) resolve()
    else reject(new Error(`answered ${line.trimEnd()}`))
  })
  const socket = connect(target, lines.cut)
  if (target.proxyHeader) socket.write('PROXY TCP4 127.0.0.1 127.0.0.1 40000 143\r\n')
  const expect = (prefix: string): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting = { prefix, resolve, reject }
    })

  let failure: Error | undefined
  socket.on('session', (newest: Buffer) => (ticket = newest))
  const closed = new Promise<void>((resolve) => {
    socket.on('error', (cause) => (failure = cause))
    socket.on('close', () => {
      waiting?.reject(failure ?? new Error(`the connection ended before ${waiting.prefix}${good}`))
      resolve()
    })
  })

  await expect(isImap ? '* ' : '')
  return {
    command(text, body) {
      const tag = isImap ? `t${++tagNumber} ` : ''
      const answered = expect(tag)
      if (body === undefined) {
        socket.write(`${tag}${text}\r\n`)
      } else {
        socket.cork() // three parts, one writev
        socket.write(`${tag}${text}\r\n`)
        socket.write(body)
        socket.write('\r\n')
        socket.uncork()
      }
      return answered
    },
    closed,
    handshake: () => (socket instanceof TLSSocket ? describeHandshake(socket) : undefined),
    resumed: () => socket instanceof TLSSocket && socket.isSessionReused(),
    ticket: () => ticket,
    literalBytes: lines.literalBytes,
    socket,
    destroy: () => socket.destroy(),
  }
}
