/**
 * A socket that is read line by line. It buffers bytes that were received and not requested, and stops reading above a limit. It returns
 * no line while the peer does not read the answers. `detach()` returns the socket with its unread bytes at the end of the dialogue.
 * It knows no protocol and sets no timer: a deadline ends a wait through `fail()`.
 */
import type { Socket } from 'node:net'
import { isShortage, MuxError, systemCode, type ErrorCode } from '../errors.ts'
import { asOctets, octetsOf, type Octets } from '../octets.ts'

/** Unread bytes past which the socket is paused: two lines of the longest kind fit, and a flood from a hostile side does not. */
const MAX_UNREAD_BYTES = 64 * 1024

const NO_OCTETS = asOctets('')

const LF = 10
const CR = 13

/** At most so many bytes, or more if the begin of the line matches `token.start`. */
export type LineLimit = number | { bytes: number; token: { start: RegExp; bytes: number } }

/** The begin of a line that contains a tag, a command and a mechanism. */
const LINE_START_BYTES = 128

/** One for all: peers close all the time, and the trace of an error takes time. */
const CLOSED = {
  client: new MuxError('client-closed', 'the client closed the connection'),
  backend: new MuxError('backend-closed', 'the backend closed the connection'),
} as const

type Waiter = { take: () => unknown; resolve: (taken: unknown) => void; reject: (error: Error) => void }

export class LineSocket {
  readonly socket: Socket
  /** by `readLine` */
  linesRead = 0
  readonly #side: 'client' | 'backend'
  #unread: Buffer | undefined
  /** how far #unread has been searched for a line end, so that each byte of a slow line is searched once */
  #searched = 0
  #waiter: Waiter | undefined
  #failure: Error | undefined
  /** set if the failure must not wait for a peer that does not read */
  #cut: Error | undefined
  #paused = false

  /** Takes over the reading of `socket` until `detach()`; the caller still owns it and closes it. */
  constructor(socket: Socket, side: 'client' | 'backend') {
    this.socket = socket
    this.#side = side
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
    socket.on('error', this.#onError)
  }

  /** Bytes that were received and not requested yet. */
  get unreadBytes(): number {
    return this.#keptBytes + this.socket.readableLength
  }

  /** What is kept here; the stream keeps some itself while it is paused, which must not keep it so. */
  get #keptBytes(): number {
    return this.#unread?.length ?? 0
  }

  /**
   * The next line without its CRLF (a bare LF is taken for a line end too).
   * @throws MuxError `*-line-too-long` when no line end comes within the limit, `*-closed` or `*-reset`, or what `fail()` was given
   */
  readLine(limit: LineLimit): Promise<Octets> {
    return this.#read(() => this.#takeLine(limit))
  }

  /**
   * What `parse` makes of the bytes that have come, once there are enough of them. They stay unread; `skip` drops them.
   * @throws what `parse` throws, or as readLine
   */
  peek<T>(parse: (bytes: Buffer) => T | 'more'): Promise<T> {
    return this.#read(() => {
      const parsed = this.#unread === undefined ? 'more' : parse(this.#unread)
      return parsed === 'more' ? undefined : parsed
    })
  }

  skip(count: number): void {
    if (count > 0) this.#consume(count)
  }

  /** Exactly `count` octets. The caller bounds `count`. @throws MuxError as readLine */
  readBytes(count: number): Promise<Octets> {
    return this.#read(() => {
      if (count === 0) return NO_OCTETS
      if (this.#unread === undefined || this.#unread.length < count) return undefined
      return octetsOf(this.#consume(count))
    })
  }

  /** Writes octets in one go. @throws RangeError where the string is text: half of each character would be lost. Octets for a closed socket are dropped: the next read throws the reason. */
  write(text: string): void {
    if (this.socket.writable) this.socket.write(asOctets(text), 'latin1')
  }

  /** Makes the wait under way, and each later one, end with `error`. The first failure stays. */
  fail(error: Error): void {
    this.#failure ??= error
    this.#cut ??= this.#failure
    this.#rejectWaiter(this.#failure)
  }

  /** Stops reading and returns what was not asked for; the socket is left paused, for its next owner. */
  detach(): Buffer | undefined {
    this.socket.pause()
    this.socket.off('data', this.#onData)
    this.socket.off('drain', this.#onDrain)
    this.socket.off('end', this.#onEnd)
    this.socket.off('close', this.#onClose)
    this.socket.off('error', this.#onError)
    const unread = this.#unread
    this.#unread = undefined
    return unread
  }

  /** What is thrown within the promise, also by `take`, is its rejection. */
  #read<T>(take: () => T | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#waiter) throw new Error('two reads at once on one socket')
      if (this.socket.writableNeedDrain) {
        // The next command waits until the last answers are sent: a peer that pipelines and reads nothing would fill the memory.
        if (this.#cut) throw this.#cut
        this.socket.once('drain', this.#onDrain)
      } else {
        // What came before the end of the stream is still to be had after it.
        const taken = take()
        if (taken !== undefined) return resolve(taken)
        if (this.#failure) throw this.#failure
      }
      this.#waiter = { take, resolve: resolve as Waiter['resolve'], reject }
    })
  }

  readonly #onData = (chunk: Buffer): void => {
    // A copy: what the chunk lies in may be read into again (lean-socket.ts).
    this.#unread = this.#unread === undefined ? Buffer.from(chunk) : Buffer.concat([this.#unread, chunk])
    if (!this.socket.writableNeedDrain) this.#serveWaiter()
    if (this.#keptBytes > MAX_UNREAD_BYTES && !this.#paused) {
      this.#paused = true
      this.socket.pause()
    }
  }

  #serveWaiter(): void {
    const waiter = this.#waiter
    try {
      const taken = waiter?.take()
      if (taken === undefined) return
      this.#waiter = undefined
      waiter?.resolve(taken)
    } catch (error) {
      this.#waiter = undefined
      waiter?.reject(error as Error)
    }
  }

  #rejectWaiter(error: Error): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    this.socket.off('drain', this.#onDrain)
    waiter?.reject(error)
  }

  readonly #onDrain = (): void => {
    this.#serveWaiter()
    if (this.#failure) this.#rejectWaiter(this.#failure)
  }

  /** The peer sends nothing more, and may still read: commands that came before are answered as it does. */
  readonly #onEnd = (): void => {
    this.#failure ??= this.#closed()
    if (!this.socket.writableNeedDrain) this.#rejectWaiter(this.#failure)
  }

  readonly #onClose = (): void => this.fail(this.#closed())

  #closed(): MuxError {
    return CLOSED[this.#side]
  }

  readonly #onError = (error: Error): void =>
    this.fail(
      new MuxError(
        isShortage(error) ? 'local-shortage' : this.#code('reset'),
        `connection to the ${this.#side} lost: ${systemCode(error)}`,
        error,
      ),
    )

  #code(what: 'reset' | 'line-too-long'): ErrorCode {
    if (this.#side === 'client') return `client-${what}`
    return what === 'line-too-long' ? 'backend-garbage' : 'backend-closed'
  }

  #takeLine(limit: LineLimit): Octets | undefined {
    const unread = this.#unread
    if (unread === undefined) return undefined
    const end = unread.indexOf(LF, this.#searched)
    const maxBytes = maxBytesOf(limit, unread, end)
    if (end > maxBytes || (end === -1 && unread.length > maxBytes)) {
      throw new MuxError(this.#code('line-too-long'), `a line of more than ${maxBytes} bytes from the ${this.#side}`)
    }
    if (end === -1) {
      this.#searched = unread.length
      return undefined
    }
    const line = this.#consume(end + 1)
    this.linesRead++
    return octetsOf(line, end > 0 && line[end - 1] === CR ? end - 1 : end)
  }

  #consume(count: number): Buffer {
    const unread = this.#unread ?? Buffer.alloc(0)
    this.#searched = 0
    this.#unread = unread.length === count ? undefined : unread.subarray(count)
    if (this.#paused && this.#keptBytes <= MAX_UNREAD_BYTES) {
      this.#paused = false
      this.socket.resume()
    }
    return unread.subarray(0, count)
  }
}

function maxBytesOf(limit: LineLimit, unread: Buffer, end: number): number {
  if (typeof limit === 'number') return limit
  if ((end === -1 ? unread.length : end) <= limit.bytes) return limit.bytes
  return limit.token.start.test(unread.toString('latin1', 0, LINE_START_BYTES)) ? limit.token.bytes : limit.bytes
}
