/** The client's connection: its socket, lines and TLS. It knows no login and no back end. */
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { ListenerSettings } from '../config/settings.ts'
import { MuxError, systemCode } from '../errors.ts'
import { closeSoon } from '../net/closing.ts'
import { LineSocket, type LineLimit } from '../net/line-socket.ts'
import type { Endpoint, ProxyHeader } from '../net/proxy-header.ts'
import { encodeUtf8, type Octets } from '../octets.ts'
import type { ClientWire } from '../protocol/protocol.ts'
import type { ServerTls } from '../tls/certificates.ts'
import { isTrusted, userOfCertificate, whyNotTrusted } from '../tls/client-certificate.ts'
import { ClientHelloError, createClientHelloReader } from '../tls/client-hello.ts'
import { parseServerName } from '../tls/server-name.ts'
import { acceptTls } from '../tls/upgrade.ts'
import type { ListenerContext } from '../world.ts'
import { checkAlpn, endsOf, readOrigin } from './origin.ts'

/** `certificate` is undefined if none is requested. In it, `shown` is the client's certificate and `problem` OpenSSL's reason not to trust it. */
export type ClientTls = {
  version: string | undefined
  cipher: string | undefined
  certificate: { shown: X509Certificate | undefined; problem: string | undefined } | undefined
}

/** Called once for each handshake. */
export type HandshakeEnded = (version: string, resumed: boolean, outcome: 'ok' | 'failed') => void

export class ClientConnection implements ClientWire {
  readonly listener: ListenerSettings
  /** the client's end, and the end to which it connected; both from the PROXY header if there is one */
  client: Endpoint
  local: Endpoint
  /** the addresses are those of a PROXY header */
  hasProxyHeader = false
  /** a load balancer's probe (PROXY LOCAL) without a login so far: served, but neither logged nor counted */
  isHealthCheck = false
  /** the server name that the client sent in TLS */
  serverName: string | undefined = undefined
  secure = false
  tlsVersion: string | undefined = undefined
  /** as OpenSSL names it, or the proxy in front */
  cipher: string | undefined = undefined
  certifiedUser: Octets | undefined = undefined
  #socket: Socket
  #lines: LineSocket | undefined
  #failure: MuxError | undefined = undefined
  #isClosing = false
  readonly #context: ListenerContext
  readonly #handshakeEnded: HandshakeEnded

  /** Takes over `socket`. */
  constructor(socket: Socket, context: ListenerContext, handshakeEnded: HandshakeEnded) {
    this.listener = context.settings
    const { client, local } = endsOf(socket)
    this.client = client
    this.local = local
    this.#socket = socket
    this.#context = context
    this.#handshakeEnded = handshakeEnded
    this.#lines = new LineSocket(socket, 'client')
  }

  get socket(): Socket {
    return this.#socket
  }

  /** The socket is closed, so no answer can reach the client. */
  get isGone(): boolean {
    return this.#socket.destroyed
  }

  readLine(limit: LineLimit): Promise<Octets> {
    return this.#reader.readLine(limit)
  }

  readBytes(count: number): Promise<Octets> {
    return this.#reader.readBytes(count)
  }

  write(text: string): void {
    this.#lines?.write(text)
  }

  /** Reads the PROXY header and applies it. @throws MuxError `client-not-trusted`, `client-proxy-header`, `client-closed` */
  async learnOrigin(): Promise<void> {
    this.#applyOrigin(await readOrigin(this.#reader, this.client.address, this.#context, (error) => this.fail(error)))
  }

  #applyOrigin({ command, source, destination, alpn, authority, ssl }: ProxyHeader): void {
    this.isHealthCheck = command === 'local'
    this.hasProxyHeader = source !== undefined
    if (source) this.client = source
    if (destination) this.local = destination
    this.serverName = authority
    checkAlpn(alpn, this.listener.protocol) // after the addresses, which the log of a failure needs
    // The client's TLS ends at the proxy; the network between the proxy and mailmux is trusted.
    if (ssl?.clientTls) {
      this.secure = true
      this.tlsVersion = ssl.version
      this.cipher = ssl.cipher
    }
  }

  /** The server name in the ClientHello, which is read without an answer. @throws MuxError `client-tls-failed` */
  async peekServerName(): Promise<string | undefined> {
    try {
      const { serverName } = await this.#reader.peek(createClientHelloReader())
      this.serverName = serverName
      return serverName
    } catch (error) {
      throw error instanceof ClientHelloError ? new MuxError('client-tls-failed', error.message, error) : error
    }
  }

  /** After STARTTLS or STLS. @throws MuxError `client-bytes-before-tls` (injection of commands before the handshake, CVE-2011-0411), or as startImplicitTls */
  async startTls(): Promise<void> {
    const unread = this.detach()
    if (unread !== undefined || this.#socket.readableLength > 0) {
      throw new MuxError('client-bytes-before-tls', 'the client sent bytes between STARTTLS and the handshake')
    }
    this.#lines = new LineSocket(this.#socket, 'client')
    this.#socket.resume() // `detach` has left it paused
    await this.#shakeHands(this.#lines)
  }

  /** TLS from the first byte, or the first byte after a PROXY header. @throws MuxError `client-closed`, `client-reset`, `client-tls-failed` */
  startImplicitTls(): Promise<void> {
    return this.#shakeHands(this.#reader)
  }

  /**
   * Begins with the first byte of the client, for two reasons. If bytes are already there, Node reads with a buffer of 1 KiB that grows on
   * demand; otherwise the session keeps a buffer of 64 KiB until its end. A silent session then takes a fifth less memory. And a client
   * that closes before it sends a byte, such as a load balancer's check of the port, does not count as a failed handshake.
   */
  async #shakeHands(lines: LineSocket): Promise<void> {
    await lines.peek(({ length }) => length)
    try {
      const { contextFor, ...options } = this.#context.tls ?? NO_TLS
      const chosen = contextFor?.(await readServerName(lines))
      const first = this.detach() // pauses the socket, which `unshift` requires
      this.#socket.unshift(first)
      const socket = await acceptTls(this.#socket, { ...options, ...(chosen && { secureContext: chosen }) })
      this.#socket = socket
      this.tlsVersion = socket.getProtocol() ?? 'unknown'
      this.cipher = socket.getCipher().name
      if (typeof socket.servername === 'string') this.serverName = parseServerName(socket.servername)
      if (this.listener.clientUser !== undefined && isTrusted(socket)) {
        const certificate = socket.getPeerX509Certificate()
        const user = certificate && userOfCertificate(this.listener.clientUser, certificate)
        this.certifiedUser = user === undefined ? undefined : encodeUtf8(user)
      }
      if (this.listener.clientCa !== undefined && this.listener.clientUser === undefined && !isTrusted(socket)) {
        throw new Error('the client has shown no certificate that client_ca_file trusts')
      }
      this.#handshakeEnded(this.tlsVersion, socket.isSessionReused(), 'ok')
    } catch (error) {
      this.#handshakeEnded('none', false, 'failed')
      if (this.#failure) throw this.#failure
      throw new MuxError('client-tls-failed', `TLS handshake failed: ${systemCode(error)}`, error)
    }
    this.#lines = new LineSocket(this.#socket, 'client')
    this.secure = true
  }

  /** Ends the current wait with `error`: the deadline of the login has passed, or mailmux stops. */
  fail(error: MuxError): void {
    if (this.#isClosing) return // the last line is being sent, with a limit of its own
    this.#failure ??= error
    if (this.#lines) this.#lines.fail(error)
    else this.#socket.destroy() // during a handshake no text can be sent
  }

  /**
   * Calls `gone` when the client has left. A client that closes its half of the connection during a login counts as gone, as in every
   * mail server. @returns cancels the call
   */
  onLeaving(gone: () => void): () => void {
    const socket = this.#socket
    socket.on('end', gone).on('close', gone)
    if (socket.readableEnded || socket.destroyed) gone()
    return () => void socket.off('end', gone).off('close', gone)
  }

  /** Releases the socket to another owner. @returns the bytes that the client has sent and that were not read */
  detach(): Buffer | undefined {
    const unread = this.#lines?.detach()
    this.#lines = undefined
    return unread
  }

  /**
   * Sends what was written, then closes. A client that does not read is disconnected soon. @param onClosed is called once, when the
   * socket is closed
   */
  close(onClosed?: () => void): void {
    this.#isClosing = true
    this.detach()
    closeSoon(this.#socket, onClosed)
  }

  /** Closes at once, without sending anything. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** The TLS of the client's side. If it ended at a proxy in front, only its version may be known. */
  describeTls(): ClientTls {
    const socket = this.#socket
    if (!(socket instanceof TLSSocket)) return { version: this.tlsVersion, cipher: undefined, certificate: undefined }
    const { name: cipher } = socket.getCipher()
    if (this.listener.clientCa === undefined) return { version: this.tlsVersion, cipher, certificate: undefined }
    const certificate = { shown: socket.getPeerX509Certificate(), problem: whyNotTrusted(socket) }
    return { version: this.tlsVersion, cipher, certificate }
  }

  get #reader(): LineSocket {
    if (!this.#lines) throw new Error('the connection is not being read')
    return this.#lines
  }
}

const NO_TLS: ServerTls = {}

/** The server name in a ClientHello, which stays unread. OpenSSL refuses other bytes, with an alert if they are a TLS record. */
async function readServerName(lines: LineSocket): Promise<string | undefined> {
  try {
    return (await lines.peek(createClientHelloReader())).serverName
  } catch (error) {
    if (error instanceof ClientHelloError) return undefined
    throw error
  }
}
