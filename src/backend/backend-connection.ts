/** The back end's side of a login: dialled, spoken to, then handed to the relay or closed. */
import type { Socket } from 'node:net'
import type { Address } from './endpoint/addresses.ts'
import type { Backend } from './backends.ts'
import { dial, secureBackend, type Origin } from './dialer.ts'
import { MuxError } from '../errors.ts'
import { LineSocket, type LineLimit } from '../net/line-socket.ts'
import type { Octets } from '../octets.ts'

/** How far an attempt has come: what a failure is to be blamed on. Kept by the caller, as there may never be a connection. */
export type Progress = {
  /** the TCP connection stands, and the PROXY header, if any, is on its way */
  connected: boolean
  /** lines that the back end has sent, its greeting included */
  heard: number
  /** the back end has been told, or is just being told, whose login it is */
  told: boolean
}

export class BackendConnection {
  secure: boolean
  readonly #backend: Backend
  readonly #address: Address
  readonly #signal: AbortSignal
  readonly #progress: Pick<Progress, 'heard'>
  #socket: Socket
  #lines: LineSocket

  private constructor(
    backend: Backend,
    address: Address,
    socket: Socket,
    signal: AbortSignal,
    progress: Pick<Progress, 'heard'>,
  ) {
    this.#backend = backend
    this.#address = address
    this.#signal = signal
    this.#progress = progress
    this.#socket = socket
    this.#lines = new LineSocket(socket, 'backend')
    this.secure = backend.settings.tls === 'implicit'
    signal.addEventListener('abort', this.#onAbort)
  }

  /**
   * Dials, with TLS where the leg has that from its first byte.
   * @param origin the client, for a back end that wants a PROXY header
   * @param signal ends the dial, and each wait until `detach()`, with its reason
   * @param progress is kept up to date
   * @throws MuxError as `dial`, `backend-tls-failed`, `backend-certificate`
   */
  static async open(
    backend: Backend,
    address: Address,
    origin: Origin | undefined,
    signal: AbortSignal,
    progress: Pick<Progress, 'connected' | 'heard'> = { connected: false, heard: 0 },
  ): Promise<BackendConnection> {
    const socket = await dial(backend, address, origin, signal)
    progress.connected = true
    const implicit = backend.settings.tls === 'implicit'
    const ready = implicit ? await secureBackend(socket, backend, address, signal) : socket
    return new BackendConnection(backend, address, ready, signal, progress)
  }

  async readLine(limit: LineLimit): Promise<Octets> {
    const line = await this.#lines.readLine(limit)
    this.#progress.heard++
    return line
  }

  readBytes(count: number): Promise<Octets> {
    return this.#lines.readBytes(count)
  }

  write(text: string): void {
    this.#lines.write(text)
  }

  /** @throws MuxError `backend-bytes-before-tls`: what follows the go-ahead in clear was put there by somebody in between */
  async startTls(): Promise<void> {
    const injected = this.#lines.unreadBytes > 0
    this.#lines.detach()
    if (injected) {
      throw new MuxError('backend-bytes-before-tls', 'bytes in clear between the back end’s go-ahead and the handshake')
    }
    this.#socket = await secureBackend(this.#socket, this.#backend, this.#address, this.#signal)
    this.#lines = new LineSocket(this.#socket, 'backend')
    this.secure = true
  }

  /** Gives the socket to the relay, out of the deadline's reach. */
  detach(): { socket: Socket; unread: Buffer | undefined } {
    this.#signal.removeEventListener('abort', this.#onAbort)
    return { socket: this.#socket, unread: this.#lines.detach() }
  }

  close(): void {
    this.detach()
    this.#socket.on('error', () => undefined) // the connection is over; how it breaks no longer matters
    this.#socket.destroy()
  }

  readonly #onAbort = (): void => this.#lines.fail(this.#signal.reason as Error)
}
