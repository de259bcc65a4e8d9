/**
 * Sockets that reuse their read buffers. By default Node allocates memory for each read, which costs more than relaying the bytes: V8
 * marks the whole heap whenever 64 MiB have been allocated outside of it. A quiet socket has no buffer of its own: it reads into a small buffer that all quiet sockets share, and each chunk is copied before
 * the next read. A busy socket has a large buffer. A chunk in it is valid only until the `data` listener returns: the listener copies
 * what it needs longer, or calls `keepChunk()` if a pending write still refers to the chunk.
 */
import { Socket, type SocketConstructorOpts } from 'node:net'
import { TLSSocket } from 'node:tls'

/** Size of the shared buffer. Most replies fit. A read that fills it makes the connection a busy one. */
const SMALL_BYTES = 2048
/** Node's default read size. A connection whose chunk has this size sends much data. */
export const MUCH_BYTES = 64 * 1024
/** A read of TLS has at most the 16 KiB of one record. Above this size it is one of many bytes. */
export const MUCH_TLS_BYTES = 8192
/** Size of a busy connection's buffer. A larger one was not cheaper, because it does not fit into the processor's caches. */
const LARGE_BYTES = 64 * 1024
/** Unused large buffers that are kept for the next busy connection: 1 MiB in all. */
const MAX_SPARE = 16

/** The names of Node's properties for a read buffer, its callback and the source of the next buffer. They are no documented API. */
const READ_PROPERTIES = ['kBuffer', 'kBufferCb', 'kBufferGen'] as const
/** Where a TLS socket keeps its `ReadBuffer`. */
const READ_BUFFER = Symbol('read buffer')

/** Bun reads into memory of its own and copies to the given buffer, so on Bun the default reads are cheaper. */
const READS_INTO_GIVEN_BUFFER = !('bun' in process.versions)

/** The buffers that sockets share: `small` for all quiet sockets, `spare` are large buffers that are not in use. */
export type ReadMemory = { readonly small: Buffer; readonly spare: Buffer[] }

export function createReadMemory(): ReadMemory {
  return { small: Buffer.alloc(SMALL_BYTES), spare: [] }
}

/** @returns a socket that is not connected yet, with the cheapest way to read that the runtime has */
export function createLeanSocket(options: Omit<SocketConstructorOpts, 'onread'>, memory: ReadMemory): Socket {
  return READS_INTO_GIVEN_BUFFER ? new LeanSocket(options, memory) : new Socket(options)
}

export class LeanSocket extends Socket {
  readonly #buffer: ReadBuffer

  constructor(options: Omit<SocketConstructorOpts, 'onread'>, memory: ReadMemory) {
    const buffer = new ReadBuffer(memory)
    super({
      ...options,
      onread: { buffer: () => buffer.next(), callback: (bytes: number) => this.#emitChunk(bytes) },
    })
    this.#buffer = buffer
    this.once('close', () => buffer.release())
  }

  /** Keeps the chunk that is being emitted valid after its listener has returned: the next read uses another buffer. */
  keepChunk(): void {
    this.#buffer.keep()
  }

  /** @returns whether to continue reading */
  #emitChunk(bytes: number): boolean {
    return emitChunk(this, this.#buffer.take(bytes))
  }
}

/** @returns whether to continue reading */
function emitChunk(socket: Socket, chunk: Buffer): boolean {
  // Without a listener, behind earlier unread bytes, or after a pause (the rest of what TLS has decrypted), the chunk waits in the
  // stream, which needs a copy.
  const waits = socket.readableLength > 0 || socket.readableFlowing === false || socket.listenerCount('data') === 0
  if (waits) return socket.push(Buffer.from(chunk))
  socket.emit('data', chunk)
  return true
}

/** The buffer of one socket: the shared small one, and a large one of its own as long as reads fill the buffer that they get. */
class ReadBuffer {
  readonly #memory: ReadMemory
  readonly #muchBytes: number
  #own: Buffer | undefined
  #isBusy = false
  #kept = false

  /** @param muchBytes a read of so many bytes makes the connection a busy one; a read that fills its buffer does in any case */
  constructor(memory: ReadMemory, muchBytes = LARGE_BYTES) {
    this.#memory = memory
    this.#muchBytes = muchBytes
  }

  /** @returns the bytes of this read; a copy if they are in the shared buffer, which the next read of another socket overwrites */
  take(bytes: number): Buffer {
    const buffer = this.#own ?? this.#memory.small
    this.#isBusy = bytes === buffer.length || bytes >= this.#muchBytes
    const chunk = buffer.subarray(0, bytes)
    return this.#own ? chunk : Buffer.from(chunk)
  }

  keep(): void {
    this.#kept = true
  }

  /** @returns the buffer for the next read */
  next(): Buffer {
    if (this.#kept) this.#own = undefined // the garbage collector frees it after the pending write
    if (this.#isBusy) this.#own ??= this.#memory.spare.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES)
    else this.release()
    this.#isBusy = this.#kept = false
    return this.#own ?? this.#memory.small
  }

  /** Returns the large buffer. */
  release(): void {
    if (this.#own && this.#memory.spare.length < MAX_SPARE) this.#memory.spare.push(this.#own)
    this.#own = undefined
  }
}

/** Node's internal handle of a socket. It is not a documented API, so `makeLean` changes nothing if the handle is not as expected. */
type Handle = { useUserBuffer?: unknown }

/**
 * Turns a socket that a server has accepted into a LeanSocket. Call it only while both of its buffers are empty.
 * @returns the socket to use from now on; do not use `socket` any more unless it is the one that is returned
 */
export function makeLean(socket: Socket, memory: ReadMemory): Socket {
  const { _handle: handle } = socket as Socket & { _handle?: Handle | null }
  const isIdle = socket.readableLength === 0 && socket.writableLength === 0 && socket.readable && socket.writable
  const isOther = socket instanceof TLSSocket || socket instanceof LeanSocket
  if (!isIdle || isOther || typeof handle?.useUserBuffer !== 'function') return socket
  const lean = new LeanSocket({ allowHalfOpen: true, handle } as SocketConstructorOpts, memory)
  Object.assign(socket, { _handle: null })
  return lean
}

type LeanTls = Socket & { [READ_BUFFER]?: ReadBuffer }
type TlsHandle = { useUserBuffer?: (buffer: Buffer) => void }

/**
 * Makes a TLS socket reuse its read buffers. It may be called at any time after the handshake, and more than once. Changes nothing on
 * another socket, or where Node's internals are not as expected.
 */
export function makeTlsLean(socket: LeanTls, memory: ReadMemory): void {
  if (!READS_INTO_GIVEN_BUFFER || socket[READ_BUFFER] !== undefined) return
  if (!(socket instanceof TLSSocket) || socket.destroyed) return
  const { _handle: handle } = socket as LeanTls & { _handle?: TlsHandle | null }
  const symbols = Object.getOwnPropertySymbols(socket)
  const [kBuffer, kBufferCb, kBufferGen] = READ_PROPERTIES.map((name) =>
    symbols.find(({ description }) => description === name),
  )
  if (!kBuffer || !kBufferCb || !kBufferGen || typeof handle?.useUserBuffer !== 'function') return
  const buffer = new ReadBuffer(memory, MUCH_TLS_BYTES)
  const first = buffer.next()
  Object.assign(socket, {
    [READ_BUFFER]: buffer,
    [kBuffer]: first,
    [kBufferCb]: (bytes: number) => emitChunk(socket, buffer.take(bytes)),
    [kBufferGen]: () => buffer.next(),
  })
  handle.useUserBuffer(first)
  socket.once('close', () => buffer.release())
}

/** `LeanSocket.keepChunk()` for any socket. Other sockets allocate memory for each chunk, so for them nothing is to be done. */
export function keepChunk(socket: Socket): void {
  if (socket instanceof LeanSocket) socket.keepChunk()
  else (socket as LeanTls)[READ_BUFFER]?.keep()
}
