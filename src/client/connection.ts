/** The client's connection: its socket, lines and TLS, and where it comes from. */
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { ListenerSettings } from '../config/settings.ts'
import { MuxError, systemCode } from '../errors.ts'
import { plainAddress } from '../net/address.ts'
import { closeSoon } from '../net/closing.ts'
import { LineSocket, type LineLimit } from '../net/line-socket.ts'
import { ProxyHeaderError, readProxyHeader, type Endpoint, type ProxyHeader } from '../net/proxy-header.ts'
import { encodeUtf8, type Octets } from '../octets.ts'
import { specOf } from '../protocol/registry.ts'
import type { ClientWire } from '../protocol/protocol.ts'
import type { ServerTls } from '../tls/certificates.ts'
import { isTrusted, userOfCertificate, whyNotTrusted } from '../tls/client-certificate.ts'
import { ClientHelloError, createClientHelloReader } from '../tls/client-hello.ts'
import { parseServerName } from '../tls/server-name.ts'
import { acceptTls } from '../tls/upgrade.ts'
import type { ListenerContext } from '../world.ts'

/** What a client must send whole, and how soon. */
const PROXY_HEADER_MS = 5000

/** `certificate` is undefined if clients are not asked for one; in it, `shown` is what the client has shown and `problem` OpenSSL's reason against it. */
export type ClientTls = {
  version: string | undefined
  cipher: string | undefined
  certificate: { shown: X509Certificate | undefined; problem: string | undefined } | undefined
}

/** Called once for each handshake. */
export type HandshakeEnded = (version: string, resumed: boolean, outcome: 'ok' | 'failed') => void

export class ClientConnection implements ClientWire {
  readonly listener: ListenerSettings
  /** the client's end, and the end that it connected to: the PROXY header's where there is one */
  client: Endpoint
  local: Endpoint
  /** a PROXY header has said where the client is and where it connected to */
  hasProxyHeader = false
  /** a load balancer's probe (PROXY LOCAL) that has tried no login: served, but neither logged nor counted */
  isHealthCheck = false
  /** the name that the client asked for in TLS */
  serverName: string | undefined = undefined
  secure = false
  tlsVersion: string | undefined = undefined
  /** in OpenSSL's words, or those of the proxy in front */
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
    this.client = { address: plainAddress(socket.remoteAddress ?? 'unknown'), port: socket.remotePort ?? 0 }
    this.local = { address: plainAddress(socket.localAddress ?? 'unknown'), port: socket.localPort ?? 0 }
    this.#socket = socket
    this.#context = context
    this.#handshakeEnded = handshakeEnded
    this.#lines = new LineSocket(socket, 'client')
  }

  get socket(): Socket {
    return this.#socket
  }

  /** No answer can reach the client any more. */
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

  /** Reads the PROXY header and believes it. @throws MuxError `client-not-trusted`, `client-proxy-header`, `client-closed` */
  async learnOrigin(): Promise<void> {
    if (!this.#context.trustedProxies.has(this.client.address)) {
      throw new MuxError('client-not-trusted', 'not one of trusted_proxies, from which alone a PROXY header is taken')
    }
    const late = (): void =>
      this.fail(new MuxError('client-proxy-header', `no whole PROXY header within ${PROXY_HEADER_MS} ms`))
    const timer = setTimeout(late, PROXY_HEADER_MS)
    try {
      const { length, header } = await this.#reader.peek(readProxyHeader)
      this.#reader.skip(length)
      this.#believe(header)
    } catch (error) {
      throw error instanceof ProxyHeaderError ? new MuxError('client-proxy-header', error.message, error) : error
    } finally {
      clearTimeout(timer)
    }
  }

  #believe({ command, source, destination, alpn, authority, ssl }: ProxyHeader): void {
    this.isHealthCheck = command === 'local'
    this.hasProxyHeader = source !== undefined
    if (source) this.client = source
    if (destination) this.local = destination
    this.serverName = authority
    if (alpn !== undefined && alpn !== specOf(this.listener.protocol).alpn) {
      throw new MuxError(
        'client-proxy-header',
        `the proxy has agreed on ALPN ${JSON.stringify(alpn)}, which is not this protocol`,
      )
    }
    // The client's leg is private up to the proxy, which is as far as mailmux can see or promise.
    if (ssl?.clientTls) {
      this.secure = true
      this.tlsVersion = ssl.version
      this.cipher = ssl.cipher
    }
  }

  /** The name that the client asks for in TLS, read without answering. @throws MuxError `client-tls-failed` */
  async peekServerName(): Promise<string | undefined> {
    try {
      const { serverName } = await this.#reader.peek(createClientHelloReader())
      this.serverName = serverName
      return serverName
    } catch (error) {
      throw error instanceof ClientHelloError ? new MuxError('client-tls-failed', error.message, error) : error
    }
  }

  /** After STARTTLS or STLS. @throws MuxError `client-bytes-before-tls` (commands smuggled in ahead of the handshake, CVE-2011-0411), or as startImplicitTls */
  async startTls(): Promise<void> {
    const unread = this.detach()
    if (unread !== undefined || this.#socket.readableLength > 0) {
      throw new MuxError('client-bytes-before-tls', 'the client sent bytes between STARTTLS and the handshake')
    }
    this.#lines = new LineSocket(this.#socket, 'client')
    this.#socket.resume() // `detach` has left it paused
    await this.#shakeHands(this.#lines)
  }

  /** TLS from the first byte, or from the first behind a PROXY header. @throws MuxError `client-closed`, `client-reset`, `client-tls-failed` */
  startImplicitTls(): Promise<void> {
    return this.#shakeHands(this.#reader)
  }

  /**
   * Begins when the client does. Node has a session read into 64 KiB that it keeps for as long as the session lasts, unless the first bytes
   * are there already: then into 1 KiB, and more where somebody sends much; a silent session holds a fifth less. And who leaves without a
   * word, as load balancers do that look whether a port is open, has not failed a handshake.
   */
  async #shakeHands(lines: LineSocket): Promise<void> {
    await lines.peek(({ length }) => length)
    try {
      const { contextFor, ...options } = this.#context.tls ?? NO_TLS
      const chosen = contextFor?.(await readServerName(lines))
      const first = this.detach() // leaves the socket paused, as `unshift` must find it
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

  /** Makes the wait under way end with `error`: the deadline of the login has passed, or the program ends. */
  fail(error: MuxError): void {
    if (this.#isClosing) return // the goodbye is on its way, within its own limit
    this.#failure ??= error
    if (this.#lines) this.#lines.fail(error)
    else this.#socket.destroy() // in a handshake, where nothing can be said
  }

  /**
   * Calls `gone` when the client has left, as far as can be seen: who has said its last word in the middle of a login is taken to be
   * gone, as every mail server does. @returns takes that back
   */
  onLeaving(gone: () => void): () => void {
    const socket = this.#socket
    socket.on('end', gone).on('close', gone)
    if (socket.readableEnded || socket.destroyed) gone()
    return () => void socket.off('end', gone).off('close', gone)
  }

  /** Gives the socket away. @returns what the client has sent and nobody has read */
  detach(): Buffer | undefined {
    const unread = this.#lines?.detach()
    this.#lines = undefined
    return unread
  }

  /**
   * Sends what was written, then closes; a client that does not read is cut off soon. @param onClosed is called once, when
   * the socket is closed
   */
  close(onClosed?: () => void): void {
    this.#isClosing = true
    this.detach()
    closeSoon(this.#socket, onClosed)
  }

  /** Closes at once, without a word. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** The TLS of this side. It may have ended at a proxy in front, which tells its version at most. */
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

/** The name in a ClientHello, which stays unread. OpenSSL refuses what is no ClientHello: with an alert where it comes in a record of TLS. */
async function readServerName(lines: LineSocket): Promise<string | undefined> {
  try {
    return (await lines.peek(createClientHelloReader())).serverName
  } catch (error) {
    if (error instanceof ClientHelloError) return undefined
    throw error
  }
}
