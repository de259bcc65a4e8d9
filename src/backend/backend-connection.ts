/** A connection to a back end before it relays: dialled, secured, and read by lines. Then it is detached or closed. */
import type { Socket } from 'node:net'
import { MuxError } from '../errors.ts'
import { LineSocket, type LineLimit } from '../net/line-socket.ts'
import type { Octets } from '../octets.ts'
import type { Backend } from './backends.ts'
import { dial, secureBackend, type Dialling, type Origin } from './dialer.ts'
import type { Address } from './endpoint/addresses.ts'

export class BackendConnection {
  secure = false
  /** the TCP connection stands, and the PROXY header, if any, is on its way */
  connected = false
  readonly #backend: Backend
  readonly #address: Address
  readonly #dialling: Dialling
  #socket: Socket
  /** undefined in a handshake and before the connection is open */
  #lines: LineSocket | undefined = undefined
  #failure: MuxError | undefined = undefined
  /** by a reader that is detached */
  #heardBefore = 0

  /** Dials. @param origin the client, for a back end that expects a PROXY header; undefined for mailmux itself */
  constructor(backend: Backend, address: Address, origin: Origin | undefined) {
    this.#backend = backend
    this.#address = address
    this.#dialling = dial(backend, address, origin)
    this.#socket = this.#dialling.socket
  }

  /**
   * Waits for the connection, and for the handshake with implicit TLS. To be called once, at once.
   * @throws MuxError as `dial`, `backend-tls-failed`, `backend-certificate`, or the error of `fail`
   */
  open(): Promise<void> {
    return this.#dialling.connected.then(this.#begin)
  }

  readonly #begin = (): void | Promise<void> => {
    if (this.#failure) throw this.#failure
    this.connected = true
    if (this.#backend.settings.tls === 'implicit') return this.#secure().then(this.#read)
    this.#read()
  }

  readonly #read = (): void => {
    this.#lines = new LineSocket(this.#socket, 'backend')
  }

  /** Lines that the back end has sent and that were read, its greeting included. */
  get heard(): number {
    return this.#heardBefore + (this.#lines?.linesRead ?? 0)
  }

  readLine(limit: LineLimit): Promise<Octets> {
    return this.#reader.readLine(limit)
  }

  readBytes(count: number): Promise<Octets> {
    return this.#reader.readBytes(count)
  }

  write(text: string): void {
    this.#reader.write(text)
  }

  /** @throws MuxError `backend-bytes-before-tls` for bytes in clear after the go-ahead: an attacker in between has injected them */
  async startTls(): Promise<void> {
    const injected = this.#reader.unreadBytes > 0
    this.#detachReader()
    if (injected) {
      throw new MuxError('backend-bytes-before-tls', 'bytes in clear between the back end’s go-ahead and the handshake')
    }
    await this.#secure()
    this.#read()
  }

  async #secure(): Promise<void> {
    try {
      this.#socket = await secureBackend(this.#socket, this.#backend, this.#address)
    } catch (error) {
      throw this.#failure ?? error
    }
    if (this.#failure) throw this.#failure
    this.secure = true
  }

  /** Makes the wait under way, or the next one, end with `error`. */
  fail(error: MuxError): void {
    this.#failure ??= error
    if (this.#lines) this.#lines.fail(error)
    else this.#socket.destroy(error)
  }

  /** Gives the socket to the relay. */
  detach(): { socket: Socket; unread: Buffer | undefined } {
    return { socket: this.#socket, unread: this.#detachReader() }
  }

  #detachReader(): Buffer | undefined {
    this.#heardBefore = this.heard
    const unread = this.#lines?.detach()
    this.#lines = undefined
    return unread
  }

  close(): void {
    this.detach()
    this.#socket.on('error', ignore) // the connection is over, and so is the interest in its errors
    this.#socket.destroy()
  }

  get #reader(): LineSocket {
    if (!this.#lines) throw new Error('the connection is not being read')
    return this.#lines
  }
}

const ignore = (): void => undefined
