/**
 * A TCP socket that reads into memory which it uses again. Node's own way takes 64 KiB of fresh memory for each read, and that costs
 * more than to carry what is in it. A chunk is therefore its listener's only until the listener returns: what is needed longer is
 * copied, or kept with `keepChunk()` where somebody else (a write that waits) holds on to it.
 */
import { Socket, type SocketConstructorOpts } from 'node:net'

/** What an idle connection holds. Most answers fit; one that fills it makes the connection a busy one. */
const SMALL_BYTES = 2048
/** What a busy connection reads into. More at once made it no cheaper: the memory is then out of the processor's caches. */
const LARGE_BYTES = 64 * 1024
/** Large pieces that wait for the next busy connection: 1 MiB in all. */
const MAX_SPARE = 16

/** Large pieces that nobody reads into at the moment; the sockets that share the list hand them on to each other. */
export type SpareMemory = Buffer[]

export class LeanSocket extends Socket {
  readonly #memory: ReadMemory

  constructor(options: Omit<SocketConstructorOpts, 'onread'>, spare: SpareMemory) {
    const memory = new ReadMemory(spare)
    super({
      ...options,
      onread: { buffer: () => memory.next(), callback: (bytes: number) => this.#emitChunk(memory.take(bytes)) },
    })
    this.#memory = memory
    this.once('close', () => memory.release())
  }

  /** The chunk that is being emitted is still needed when its listener returns: the next read goes elsewhere. */
  keepChunk(): void {
    this.#memory.keep()
  }

  /** @returns whether to go on reading */
  #emitChunk(chunk: Buffer): boolean {
    // Nobody is there yet, or has not had what came before: a stream can wait, and needs bytes of its own.
    if (this.readableLength > 0 || this.listenerCount('data') === 0) return this.push(Buffer.from(chunk))
    this.emit('data', chunk)
    return true
  }
}

/** Where one socket reads: into little while it is quiet, into much while it fills what it is given. */
class ReadMemory {
  readonly #spare: SpareMemory
  #current: Buffer | undefined
  #small: Buffer | undefined
  #filled = false
  #kept = false

  constructor(spare: SpareMemory) {
    this.#spare = spare
  }

  /** @returns what has been read */
  take(bytes: number): Buffer {
    const read = this.#current ?? Buffer.alloc(0)
    this.#filled = bytes === read.length
    return read.subarray(0, bytes)
  }

  keep(): void {
    this.#kept = true
  }

  /** @returns where the next read goes */
  next(): Buffer {
    const { length = 0 } = this.#current ?? {}
    if (this.#kept) {
      if (this.#current === this.#small) this.#small = undefined
      this.#current = undefined // whoever keeps it lets it go when it is done
    }
    if (this.#filled) {
      if (length !== LARGE_BYTES || this.#kept) this.#current = this.#spare.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES)
    } else {
      this.release()
      this.#current = this.#small ??= Buffer.allocUnsafeSlow(SMALL_BYTES)
    }
    this.#filled = this.#kept = false
    return this.#current ?? Buffer.alloc(0)
  }

  /** Gives a large piece back. */
  release(): void {
    const current = this.#current
    if (current?.length === LARGE_BYTES && this.#spare.length < MAX_SPARE) this.#spare.push(current)
    this.#current = undefined
  }
}

/** For any socket: see `LeanSocket.keepChunk()`; others give each chunk memory of its own. */
export function keepChunk(socket: Socket): void {
  if (socket instanceof LeanSocket) socket.keepChunk()
}
