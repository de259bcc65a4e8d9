/**
 * A TCP socket that reads into memory which it uses again. Node's own way takes 64 KiB of fresh memory for each read, and that costs
 * more than to carry what is in it. A quiet socket has no memory of its own at all: it reads into a small piece that all share, and
 * what has come is copied out before anybody else can read. A busy one has a large piece, where a chunk is its listener's only until the
 * listener returns: what is needed longer is copied, or kept with `keepChunk()` where somebody else (a write that waits) holds on to it.
 */
import { Socket, type SocketConstructorOpts } from 'node:net'
import { TLSSocket } from 'node:tls'

/** What a read of a quiet connection may bring. Most answers fit; one that fills it makes the connection a busy one. */
const SMALL_BYTES = 2048
/** What a busy connection reads into. More at once made it no cheaper: the memory is then out of the processor's caches. */
const LARGE_BYTES = 64 * 1024
/** Large pieces that wait for the next busy connection: 1 MiB in all. */
const MAX_SPARE = 16

/** Bun reads into memory of its own and copies from there to where it is told to read: there, its own way is the cheaper one. */
const READS_WHERE_TOLD = !('bun' in process.versions)

/** What sockets read into that share it: the small piece of all quiet ones, and the large ones that nobody reads into at the moment. */
export type ReadMemory = { readonly small: Buffer; readonly spare: Buffer[] }

export function createReadMemory(): ReadMemory {
  return { small: Buffer.alloc(SMALL_BYTES), spare: [] }
}

/** @returns a socket yet to be connected that reads as cheaply as the runtime can */
export function createLeanSocket(options: Omit<SocketConstructorOpts, 'onread'>, memory: ReadMemory): Socket {
  return READS_WHERE_TOLD ? new LeanSocket(options, memory) : new Socket(options)
}

export class LeanSocket extends Socket {
  readonly #place: ReadPlace

  constructor(options: Omit<SocketConstructorOpts, 'onread'>, memory: ReadMemory) {
    const place = new ReadPlace(memory)
    super({
      ...options,
      onread: { buffer: () => place.next(), callback: (bytes: number) => this.#emitChunk(bytes) },
    })
    this.#place = place
    this.once('close', () => place.release())
  }

  /** The chunk that is being emitted is still needed when its listener returns: the next read goes elsewhere. */
  keepChunk(): void {
    this.#place.keep()
  }

  /** @returns whether to go on reading */
  #emitChunk(bytes: number): boolean {
    const chunk = this.#place.take(bytes)
    // Nobody is there yet, or has not had what came before: a stream can wait, and needs bytes of its own.
    if (this.readableLength > 0 || this.listenerCount('data') === 0) return this.push(Buffer.from(chunk))
    this.emit('data', chunk)
    return true
  }
}

/** Where one socket reads: with all others into little while it is quiet, into much of its own while it fills what it is given. */
class ReadPlace {
  readonly #memory: ReadMemory
  #own: Buffer | undefined
  #filled = false
  #kept = false

  constructor(memory: ReadMemory) {
    this.#memory = memory
  }

  /** @returns what has been read: a copy where the next read of any other socket would go over it */
  take(bytes: number): Buffer {
    const place = this.#own ?? this.#memory.small
    this.#filled = bytes === place.length
    const chunk = place.subarray(0, bytes)
    return this.#own ? chunk : Buffer.from(chunk)
  }

  keep(): void {
    this.#kept = true
  }

  /** @returns where the next read goes */
  next(): Buffer {
    if (this.#kept) this.#own = undefined // whoever keeps it lets it go when it is done
    if (this.#filled) this.#own ??= this.#memory.spare.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES)
    else this.release()
    this.#filled = this.#kept = false
    return this.#own ?? this.#memory.small
  }

  /** Gives the large piece back. */
  release(): void {
    if (this.#own && this.#memory.spare.length < MAX_SPARE) this.#memory.spare.push(this.#own)
    this.#own = undefined
  }
}

/** Node's own side of a socket. It is nobody's promise: what is not as expected is left alone. */
type Handle = { useUserBuffer?: unknown }

/**
 * Has a socket read cheaply from now on that was not made for it: one that a server has accepted. To be called while nothing waits in
 * it, either way. @returns the socket to go on with; the one that was given is of no more use, unless it is returned itself
 */
export function makeLean(socket: Socket, memory: ReadMemory): Socket {
  const { _handle: handle } = socket as Socket & { _handle?: Handle | null }
  const isIdle = socket.readableLength === 0 && socket.writableLength === 0 && socket.readable && socket.writable
  if (!isIdle || socket instanceof TLSSocket || typeof handle?.useUserBuffer !== 'function') return socket
  const lean = new LeanSocket({ allowHalfOpen: true, handle } as SocketConstructorOpts, memory)
  Object.assign(socket, { _handle: null })
  return lean
}

/** For any socket: see `LeanSocket.keepChunk()`; others give each chunk memory of its own. */
export function keepChunk(socket: Socket): void {
  if (socket instanceof LeanSocket) socket.keepChunk()
}
