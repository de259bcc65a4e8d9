/**
 * Sockets that reuse their read buffers. By default Node allocates memory for each read, which costs more than relaying the bytes: V8
 * marks its whole heap whenever 64 MiB have been allocated outside of it. A quiet socket has no buffer of its own: it reads into a small
 * buffer that all quiet sockets share, and each chunk is copied before the next read. A busy socket has a large buffer. A chunk in it is
 * valid only until the `data` listener returns: the listener copies what it needs longer, or calls `keep()` if a pending write still
 * refers to the chunk.
 */
import { Socket, type SocketConstructorOpts } from 'node:net'
import { TLSSocket } from 'node:tls'
import { READS_INTO_GIVEN_BUFFER } from '../runtime.ts'

/** Size of the shared buffer. Most replies fit. A read that fills it makes the connection a busy one. */
const SMALL_BYTES = 2048
/** Size of a busy connection's buffer. A larger one was not cheaper, because it does not fit into the processor's caches. */
const LARGE_BYTES = 64 * 1024
/** A read of TLS has at most the 16 KiB of one record: a busy connection does not fill a large buffer. */
const BUSY_TLS_BYTES = 8192
/** Unused large buffers that are kept for the next busy connection: 1 MiB in all. */
const MAX_SPARE = 16

/** Node's properties for a read buffer, its callback and the source of the next buffer. They are no documented API. */
type ReadProperties = { buffer: symbol; callback: symbol; next: symbol }

/** The buffers that sockets share: `small` for all quiet sockets, `spare` are large buffers that are not in use. */
export type ReadMemory = {
  readonly small: Buffer
  readonly spare: Buffer[]
  /** undefined where the runtime does not have them */
  readonly properties: ReadProperties | undefined
}

export function createReadMemory(): ReadMemory {
  return { small: Buffer.alloc(SMALL_BYTES), spare: [], properties: findReadProperties() }
}

function findReadProperties(): ReadProperties | undefined {
  const symbols = Object.getOwnPropertySymbols(new Socket())
  const find = (name: string): symbol | undefined => symbols.find(({ description }) => description === name)
  const [buffer, callback, next] = [find('kBuffer'), find('kBufferCb'), find('kBufferGen')]
  return READS_INTO_GIVEN_BUFFER && buffer && callback && next ? { buffer, callback, next } : undefined
}

/** @returns a socket that is not connected yet, with the cheapest way to read that the runtime has */
export function createLeanSocket(options: Omit<SocketConstructorOpts, 'onread'>, memory: ReadMemory): Socket {
  return READS_INTO_GIVEN_BUFFER ? new LeanSocket(options, memory) : new Socket(options)
}

/** The memory that the reads of one socket use. */
export type Reads = {
  /** Keeps the chunk that is being emitted valid after its listener has returned: the next read uses another buffer. */
  keep(): void
  /** To be called when the socket is closed. May be called twice. */
  release(): void
}

export class LeanSocket extends Socket implements Reads {
  readonly #buffer: ReadBuffer

  constructor(options: Omit<SocketConstructorOpts, 'onread'>, memory: ReadMemory) {
    const buffer = new ReadBuffer(memory, LARGE_BYTES)
    super({
      ...options,
      onread: { buffer: () => buffer.next(), callback: (bytes: number) => emitChunk(this, buffer.take(bytes)) },
    })
    this.#buffer = buffer
    this.once('close', () => this.release())
  }

  keep(): void {
    this.#buffer.keep()
  }

  release(): void {
    this.#buffer.release()
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

/** The buffer of one socket: the shared small one, and a large one of its own as long as reads bring many bytes. */
class ReadBuffer implements Reads {
  readonly #memory: ReadMemory
  readonly #busyBytes: number
  #own: Buffer | undefined = undefined
  #isBusy = false
  #kept = false

  /** @param busyBytes a read of so many bytes makes the connection a busy one, as does a read that fills the small buffer */
  constructor(memory: ReadMemory, busyBytes: number) {
    this.#memory = memory
    this.#busyBytes = busyBytes
  }

  /** @returns the bytes of this read; a copy if they are in the shared buffer, which the next read of another socket overwrites */
  take(bytes: number): Buffer {
    const buffer = this.#own ?? this.#memory.small
    this.#isBusy = bytes === buffer.length || bytes >= this.#busyBytes
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

  /** Returns the large buffer, unless a chunk of it is kept. */
  release(): void {
    const isFree = this.#own !== undefined && !this.#kept && this.#memory.spare.length < MAX_SPARE
    if (this.#own && isFree) this.#memory.spare.push(this.#own)
    this.#own = undefined
  }
}

/** Reads in the runtime's own way: each chunk has memory of its own. */
export const OWN_READS: Reads = { keep: () => undefined, release: () => undefined }

/** Node's internal handle of a socket. It is not a documented API. */
type Handle = { useUserBuffer?: (buffer: Buffer) => void }

/**
 * Makes a connected socket reuse its read buffers: one that a server has accepted, or one with TLS after its handshake. Node has a
 * documented option only for sockets that it connects itself. Changes nothing where Node's internals are not as expected.
 */
export function reuseReads(socket: Socket, memory: ReadMemory): Reads {
  if (socket instanceof LeanSocket) return socket
  const { properties } = memory
  const { _handle: handle } = socket as Socket & { _handle?: Handle | null }
  if (properties === undefined || typeof handle?.useUserBuffer !== 'function') return OWN_READS
  const reads = new ReadBuffer(memory, socket instanceof TLSSocket ? BUSY_TLS_BYTES : LARGE_BYTES)
  const first = reads.next()
  const own = socket as unknown as Record<symbol, unknown>
  own[properties.buffer] = first
  own[properties.callback] = (bytes: number) => emitChunk(socket, reads.take(bytes))
  own[properties.next] = () => reads.next()
  handle.useUserBuffer(first)
  return reads
}
