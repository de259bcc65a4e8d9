/**
 * One side of a conversation, played from a script: send a line, expect a line. A client or a server, in clear or in TLS.
 * Every read has a deadline, and a failed expectation shows the whole conversation.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls'
import { READ_DEADLINE_MS, START_DEADLINE_MS, within } from './deadline.ts'
import type { Scene } from './scene.ts'

/** What TLS needs: a client trusts `ca` and asks for `servername`; a server shows `cert` and `key`. */
export type PeerTls = { ca?: string; servername?: string; cert?: string; key?: string; maxVersion?: 'TLSv1.2' }

export class ScriptedPeer {
  /** what was said so far: `>` by this side, `<` by the other */
  readonly transcript: string[] = []
  #socket: Socket
  readonly #isServer: boolean
  #unread: Buffer = Buffer.alloc(0)
  #failure: Error | undefined
  #wake: () => void = () => {}

  constructor(socket: Socket, isServer: boolean) {
    this.#socket = socket
    this.#isServer = isServer
    this.#listen()
  }

  get socket(): Socket {
    return this.#socket
  }

  /** Sends a line; the CRLF is added. */
  send(line: string): void {
    this.sendRaw(`${line}\r\n`)
  }

  /** Sends bytes as they are, several commands in one packet for instance. */
  sendRaw(bytes: string | Buffer): void {
    this.transcript.push(`> ${brief(bytes)}`)
    if (typeof bytes === 'string') this.#socket.write(bytes, 'latin1')
    else this.#socket.write(bytes)
  }

  /** The next line must be this one, or match. Gives the line without its CRLF. */
  async expect(wanted: string | RegExp, deadlineMs = READ_DEADLINE_MS): Promise<string> {
    const line = await this.readLine(deadlineMs, `line ${describe(wanted)}`)
    if (!matches(line, wanted)) throw this.#complaint(`expected ${describe(wanted)}, got ${JSON.stringify(line)}`)
    return line
  }

  /** Reads on until a line is this one, or matches; gives all lines read, the wanted one last. */
  async expectUntil(wanted: string | RegExp, deadlineMs = READ_DEADLINE_MS): Promise<string[]> {
    const lines: string[] = []
    for (;;) {
      const line = await this.readLine(deadlineMs, `line ${describe(wanted)}`)
      lines.push(line)
      if (matches(line, wanted)) return lines
    }
  }

  /** Sends a line and expects the answer to it. */
  async ask(line: string, wanted: string | RegExp, deadlineMs = READ_DEADLINE_MS): Promise<string> {
    this.send(line)
    return this.expect(wanted, deadlineMs)
  }

  /** The next line without its CRLF, whatever it is. */
  async readLine(deadlineMs = READ_DEADLINE_MS, what = 'a line'): Promise<string> {
    await this.#fill(() => this.#unread.includes('\r\n'), deadlineMs, what)
    const end = this.#unread.indexOf('\r\n')
    const line = this.#unread.toString('latin1', 0, end)
    this.#unread = this.#unread.subarray(end + 2)
    this.transcript.push(`< ${brief(line)}`)
    return line
  }

  /** Exactly so many bytes, a whole message for instance. */
  async readBytes(count: number, deadlineMs = READ_DEADLINE_MS): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(count)
    let filled = 0
    const end = performance.now() + deadlineMs
    while (filled < count) {
      await this.#fill(() => this.#unread.length > 0, end - performance.now(), `${count - filled} more bytes`)
      const taken = this.#unread.copy(bytes, filled, 0, Math.min(count - filled, this.#unread.length))
      this.#unread = this.#unread.subarray(taken)
      filled += taken
    }
    this.transcript.push(`< (${count} bytes)`)
    return bytes
  }

  /** The other side must close now, without another word. */
  async expectClose(deadlineMs = READ_DEADLINE_MS): Promise<void> {
    try {
      await this.#fill(() => this.#unread.length > 0, deadlineMs, 'the end of the connection')
    } catch (error) {
      if (error instanceof Ended) return
      throw error
    }
    throw this.#complaint(`expected the end of the connection, got ${JSON.stringify(brief(this.#unread))}`)
  }

  /** Whatever comes until the other side closes. */
  async readToEnd(deadlineMs = READ_DEADLINE_MS): Promise<Buffer> {
    try {
      await this.#fill(() => false, deadlineMs, 'the end of the connection')
    } catch (error) {
      if (!(error instanceof Ended)) throw error
    }
    const rest = this.#unread
    this.#unread = Buffer.alloc(0)
    this.transcript.push(`< ${brief(rest)}`)
    return rest
  }

  /** Turns the running connection to TLS; the handshake must succeed. Unread bytes from before it are an error of the other side. */
  async startTls(tls: PeerTls, deadlineMs = READ_DEADLINE_MS): Promise<TLSSocket> {
    if (this.#unread.length > 0) throw this.#complaint('bytes came before TLS')
    for (const event of EVENTS) this.#socket.removeListener(event, this.#onEvent)
    const secured = this.#isServer ? serveTls(this.#socket, tls) : connectTls({ socket: this.#socket, ...tls })
    await within(
      deadlineMs,
      once(secured, this.#isServer ? 'secure' : 'secureConnect'),
      () => 'no TLS handshake',
    ).catch((error: unknown) => {
      throw this.#complaint(error instanceof Error ? error.message : String(error))
    })
    this.transcript.push('= TLS')
    this.#socket = secured
    this.#listen()
    return secured
  }

  /** Says that this side has nothing more to send; still reads. */
  end(): void {
    this.#socket.end()
  }

  /** Closes at once. May be called twice. */
  destroy(): void {
    this.#socket.destroy()
  }

  #listen(): void {
    for (const event of EVENTS) this.#socket.on(event, this.#onEvent)
    this.#socket.on('error', (error) => {
      this.#failure = error
    })
    this.#onEvent() // bytes may have come before we listened
  }

  readonly #onEvent = (): void => this.#wake()

  /** Reads until `enough`; pulls no more than it needs, so that a peer that does not read puts pressure on the other side. */
  async #fill(enough: () => boolean, deadlineMs: number, what: string): Promise<void> {
    const end = performance.now() + deadlineMs
    while (!enough()) {
      const chunk = this.#socket.read() as Buffer | null
      if (chunk !== null) {
        this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
        continue
      }
      if (this.#socket.readableEnded || this.#socket.destroyed)
        throw this.#complaint(`connection ended before ${what}`, Ended)
      await within(
        Math.max(end - performance.now(), 1),
        new Promise<void>((resolve) => (this.#wake = resolve)),
        () => `waited for ${what}`,
      ).catch((error: unknown) => {
        throw this.#complaint(error instanceof Error ? error.message : String(error))
      })
    }
  }

  #complaint(message: string, Kind: new (message: string) => Error = Error): Error {
    const unread = this.#unread.length > 0 ? `\n  (unread) ${brief(this.#unread)}` : ''
    const cause = this.#failure === undefined ? '' : ` (${this.#failure.message})`
    return new Kind(`${message}${cause}\n--- the conversation:\n  ${this.transcript.slice(-60).join('\n  ')}${unread}`)
  }
}

class Ended extends Error {}

const EVENTS = ['readable', 'end', 'close', 'error'] as const

export type PeerAddress = { port: number; host?: string; localAddress?: string }

/** Connects a scripted client; with `tls`, in implicit TLS. */
export async function connectPeer(scene: Scene, address: PeerAddress, tls?: PeerTls): Promise<ScriptedPeer> {
  const socket = connect({ host: '127.0.0.1', ...address })
  const peer = new ScriptedPeer(socket, false)
  scene.closeLater(() => peer.destroy())
  await within(READ_DEADLINE_MS, once(socket, 'connect'), () => `no connection to port ${address.port}`)
  if (tls !== undefined) await peer.startTls(tls)
  return peer
}

export type ScriptedServer = {
  port: number
  /** the next connection, as a peer to script */
  accept: () => Promise<ScriptedPeer>
  close: () => Promise<void>
}

/** Listens on a port of 127.0.0.1, a free one by default; with `tls`, each connection begins with a handshake. */
export async function listenPeer(
  scene: Scene,
  options: { port?: number; tls?: PeerTls } = {},
): Promise<ScriptedServer> {
  const waiting: Socket[] = []
  const peers: ScriptedPeer[] = []
  let wake = (): void => {}
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}) // a peer that resets is the script's business once it is accepted
    waiting.push(socket)
    wake()
  })
  server.listen({ host: '127.0.0.1', port: options.port ?? 0 })
  await once(server, 'listening')

  const close = async () => {
    for (const socket of waiting) socket.destroy()
    for (const peer of peers) peer.destroy()
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    await closed
  }
  scene.closeLater(close)
  return {
    port: (server.address() as AddressInfo).port,
    accept: async () => {
      while (waiting.length === 0) {
        // Whoever is to come may be a program that is being started.
        await within(START_DEADLINE_MS, new Promise<void>((resolve) => (wake = resolve)), () => 'nobody connected')
      }
      const peer = new ScriptedPeer(waiting.shift()!, true)
      peers.push(peer)
      if (options.tls !== undefined) await peer.startTls(options.tls)
      return peer
    },
    close,
  }
}

function serveTls(socket: Socket, { cert, key, maxVersion }: PeerTls): TLSSocket {
  const secureContext = createSecureContext({ cert, key, ...(maxVersion === undefined ? {} : { maxVersion }) })
  return new TLSSocket(socket, { isServer: true, secureContext })
}

function matches(line: string, wanted: string | RegExp): boolean {
  return typeof wanted === 'string' ? line === wanted : wanted.test(line)
}

function describe(wanted: string | RegExp): string {
  return typeof wanted === 'string' ? JSON.stringify(wanted) : String(wanted)
}

/** Text for the transcript: no line breaks, and not a whole message. */
function brief(bytes: string | Buffer): string {
  const text = JSON.stringify(bytes.toString('latin1' as BufferEncoding)).slice(1, -1)
  return text.length > 300 ? `${text.slice(0, 300)}... (${bytes.length} bytes)` : text
}
