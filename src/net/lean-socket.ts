/**
 * A TCP socket that reuses its read buffers. By default Node allocates 64 KiB for each read, which costs more than relaying the bytes.
 * A quiet socket has no buffer of its own: it reads into a small buffer that all quiet sockets share, and each chunk is copied before
 * the next read. A busy socket has a large buffer. A chunk in it is valid only until the `data` listener returns: the listener copies
 * what it needs longer, or calls `keepChunk()` if a pending write still refers to the chunk.
 */
import { Socket, type SocketConstructorOpts } from 'node:net'
import { TLSSocket } from 'node:tls'

/** Size of the shared buffer. Most replies fit. A read that fills it makes the connection a busy one. */
const SMALL_BYTES = 2048
/** Size of a busy connection's buffer. A larger one was not cheaper, because it does not fit into the processor's caches. */
const LARGE_BYTES = 64 * 1024
/** Unused large buffers that are kept for the next busy connection: 1 MiB in all. */
const MAX_SPARE = 16

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
    const chunk = this.#buffer.take(bytes)
    // Without a listener, or behind earlier unread bytes, the chunk waits in the stream, which needs a copy.
    if (this.readableLength > 0 || this.listenerCount('data') === 0) return this.push(Buffer.from(chunk))
    this.emit('data', chunk)
    return true
  }
}

/** The buffer of one socket: the shared small one, and a large one of its own as long as reads fill the buffer that they get. */
class ReadBuffer {
  readonly #memory: ReadMemory
  #own: Buffer | undefined
  #filled = false
  #kept = false

  constructor(memory: ReadMemory) {
    this.#memory = memory
  }

  /** @returns the bytes of this read; a copy if they are in the shared buffer, which the next read of another socket overwrites */
  take(bytes: number): Buffer {
    const buffer = this.#own ?? this.#memory.small
    this.#filled = bytes === buffer.length
    const chunk = buffer.subarray(0, bytes)
    return this.#own ? chunk : Buffer.from(chunk)
  }

  keep(): void {
    this.#kept = true
  }

  /** @returns the buffer for the next read */
  next(): Buffer {
    if (this.#kept) this.#own = undefined // the garbage collector frees it after the pending write
    if (this.#filled) this.#own ??= this.#memory.spare.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES)
    else this.release()
    this.#filled = this.#kept = false
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
  if (!isIdle || socket instanceof TLSSocket || typeof handle?.useUserBuffer !== 'function') return socket
  const lean = new LeanSocket({ allowHalfOpen: true, handle } as SocketConstructorOpts, memory)
  Object.assign(socket, { _handle: null })
  return lean
}

/** `LeanSocket.keepChunk()` for any socket. Other sockets allocate memory for each chunk, so for them nothing is to be done. */
export function keepChunk(socket: Socket): void {
  if (socket instanceof LeanSocket) socket.keepChunk()
}
