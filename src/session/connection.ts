/** The client's side of a session: its socket, where it comes from, what phase it is in, and what it has sent that nobody has read. */
import type { Socket } from 'node:net'
import type { TLSSocketOptions } from 'node:tls'
import type { ListenerSettings } from '../config/settings.ts'
import { MuxError, systemCode } from '../errors.ts'
import { LineSocket } from '../net/line-socket.ts'
import type { ClientDialogue, Wire } from '../protocol/protocol.ts'
import { acceptTls } from '../tls/upgrade.ts'

export type Phase = 'greeting' | 'tls' | 'login' | 'routing' | 'connecting' | 'replaying-login' | 'relaying'

/** What a handshake with a client takes, and who is told how it went. */
export type ClientTls = {
  serverOptions: TLSSocketOptions
  handshakeEnded: (version: string, resumed: boolean, outcome: 'ok' | 'failed') => void
}

export class ClientConnection implements Wire {
  readonly id: string
  readonly listener: ListenerSettings
  readonly address: string
  readonly port: number
  phase: Phase = 'greeting'
  /** the normalised name, once a login was routed */
  user: string | undefined
  /** the back end that the last login was routed to */
  backend: string | undefined
  /** set once there is a conversation, for whoever has to end it */
  dialogue: ClientDialogue | undefined
  secure = false
  tlsVersion: string | undefined
  #socket: Socket
  #lines: LineSocket | undefined
  readonly #tls: ClientTls | undefined

  /** Takes over `socket`. @param tls undefined where there is no certificate to show */
  constructor(id: string, socket: Socket, listener: ListenerSettings, tls: ClientTls | undefined) {
    this.id = id
    this.listener = listener
    this.address = withoutMapping(socket.remoteAddress ?? 'unknown')
    this.port = socket.remotePort ?? 0
    this.#socket = socket
    this.#tls = tls
    // With TLS from the first byte nothing may be read before the handshake.
    if (listener.tls !== 'implicit') this.#lines = new LineSocket(socket, 'client')
  }

  get socket(): Socket {
    return this.#socket
  }

  readLine(maxBytes: number): Promise<string> {
    return this.#reader.readLine(maxBytes)
  }

  readBytes(count: number): Promise<string> {
    return this.#reader.readBytes(count)
  }

  write(text: string): void {
    this.#lines?.write(text)
  }

  /** @throws MuxError `client-bytes-before-tls` (commands smuggled in ahead of the handshake, CVE-2011-0411), `client-tls-failed` */
  async startTls(): Promise<void> {
    const injected = (this.#lines?.unreadBytes ?? 0) > 0
    this.#lines?.detach()
    this.#lines = undefined
    if (injected)
      throw new MuxError('client-bytes-before-tls', 'the client sent bytes between STARTTLS and the handshake')
    try {
      const socket = await acceptTls(this.#socket, this.#tls?.serverOptions ?? {})
      this.#socket = socket
      this.tlsVersion = socket.getProtocol() ?? 'unknown'
      this.#tls?.handshakeEnded(this.tlsVersion, socket.isSessionReused(), 'ok')
    } catch (error) {
      this.#tls?.handshakeEnded('none', false, 'failed')
      throw new MuxError('client-tls-failed', `TLS handshake failed: ${systemCode(error)}`, error)
    }
    this.#lines = new LineSocket(this.#socket, 'client')
    this.secure = true
  }

  /** Makes the wait under way end with `error`: the deadline of the login has passed, or the program ends. */
  fail(error: MuxError): void {
    if (this.#lines) this.#lines.fail(error)
    else this.#socket.destroy(error)
  }

  /** Gives the socket to the relay. @returns what the client has sent after its login */
  detach(): Buffer | undefined {
    const unread = this.#lines?.detach()
    this.#lines = undefined
    return unread
  }

  /** Lets what was written go out, then closes; a client that does not take it is cut off. */
  close(): void {
    this.detach()
    const socket = this.#socket
    socket.on('error', () => undefined) // the connection is over; how it breaks no longer matters
    socket.destroySoon()
  }

  get #reader(): LineSocket {
    if (!this.#lines) throw new Error('the connection is not being read')
    return this.#lines
  }
}

/** A dual-stack socket shows IPv4 clients as ::ffff:192.0.2.1. */
function withoutMapping(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address
}
