/**
 * A Wire without a network: a real LineSocket over a stream in memory, and the other end of it for a script to hold.
 * Input may be cut anywhere; TLS is a word that both ends say; the conversation is kept, and every failure shows it.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MuxError } from '../../src/errors.ts'
import { LineSocket } from '../../src/net/line-socket.ts'
import { type Octets } from '../../src/octets.ts'
import type { ClientWire, LineLimit } from '../../src/protocol/protocol.ts'
import { READ_DEADLINE_MS, within } from './deadline.ts'
import { WHOLE, type Cut } from './splits.ts'

export type MemoryWireOptions = { cut?: Cut; secure?: boolean }

export class MemoryWire implements ClientWire {
  secure: boolean
  certifiedUser: Octets | undefined
  /** what was said so far: `>` by the script, `<` by mailmux */
  readonly transcript: string[] = []
  readonly #side: 'client' | 'backend'
  readonly #cut: Cut
  #stream: Duplex
  #lines: LineSocket
  #said = ''
  #written = ''
  #over: string | undefined
  #handshake: PromiseWithResolvers<void> | undefined
  #wake: () => void = () => undefined

  /** @param side whom the script plays */
  constructor(side: 'client' | 'backend', { cut = WHOLE, secure = false }: MemoryWireOptions = {}) {
    this.#side = side
    this.#cut = cut
    this.secure = secure
    this.#stream = this.#openStream()
    this.#lines = this.#openLines()
  }

  // mailmux's end

  readLine(limit: LineLimit): Promise<Octets> {
    return this.#lines.readLine(limit)
  }

  readBytes(count: number): Promise<Octets> {
    return this.#lines.readBytes(count)
  }

  write(text: string): void {
    this.#lines.write(text)
  }

  /** As the session does it: what has come in clear and was not asked for ends it; so does anything but a handshake after that. */
  async startTls(): Promise<void> {
    const injected = this.#lines.unreadBytes > 0
    this.#lines.detach()
    if (injected) throw new MuxError(`${this.#side}-bytes-before-tls`, 'bytes in clear before the handshake')
    this.#handshake = Promise.withResolvers()
    this.#wake()
    await this.#handshake.promise
    this.#handshake = undefined
    this.secure = true
  }

  /** Makes every read fail, as a deadline does. */
  fail(error: Error): void {
    this.#lines.fail(error)
  }

  // the script's end

  /** Sends octets (latin1) in the pieces of this wire's cut, and lets mailmux act on each. */
  async send(octets: string): Promise<void> {
    this.transcript.push(`> ${brief(octets)}`)
    for (const piece of this.#cut.split(octets)) {
      if (this.#handshake) this.#handshake.reject(new MuxError(`${this.#side}-tls-failed`, 'not a handshake'))
      else this.#stream.push(Buffer.from(piece, 'latin1'))
      await nextTurn()
    }
  }

  /** Says that the script has nothing more to send. */
  async end(): Promise<void> {
    this.transcript.push('> (end)')
    if (this.#handshake) this.#handshake.reject(new MuxError(`${this.#side}-tls-failed`, 'no handshake'))
    else this.#stream.push(null)
    await nextTurn()
  }

  /** The script's part of a handshake that mailmux has asked for, or must ask for now. */
  async handshake(): Promise<void> {
    await this.#until(() => this.#handshake !== undefined, 'a TLS handshake')
    this.transcript.push('= TLS')
    this.#stream = this.#openStream()
    this.#lines = this.#openLines()
    this.#handshake?.resolve()
    await nextTurn()
  }

  /** The next line that mailmux writes must be this one, or match. */
  async expect(wanted: string | RegExp): Promise<void> {
    await this.#until(() => this.#said.includes('\r\n'), `line ${String(wanted)}`)
    const end = this.#said.indexOf('\r\n')
    const line = this.#said.slice(0, end)
    this.#said = this.#said.slice(end + 2)
    if (typeof wanted === 'string' ? line !== wanted : !wanted.test(line)) {
      throw this.complaint(`expected ${JSON.stringify(String(wanted))}, got ${JSON.stringify(line)}`)
    }
  }

  /** Tells the script that mailmux will not speak again, and why: a line that it still waits for is then missing, not late. */
  finish(why: string): void {
    this.transcript.push(`= ${why}`)
    this.#over = why
    this.#wake()
  }

  /** What mailmux has written and the script has not expected. */
  get unexpected(): string {
    return this.#said
  }

  /** How much LineSocket has read ahead: what the stream itself holds back does not count. */
  get bufferedBytes(): number {
    return this.#lines.unreadBytes - this.#stream.readableLength
  }

  /** All that mailmux has written. */
  get written(): string {
    return this.#written
  }

  /** What the script has sent and mailmux has not read; reading ends with this. */
  detach(): string {
    const unread = this.#lines.detach() ?? Buffer.alloc(0)
    const rest = (this.#stream.read() as Buffer | null) ?? Buffer.alloc(0)
    return Buffer.concat([unread, rest]).toString('latin1')
  }

  /** An error that shows the conversation. */
  complaint(message: string): Error {
    return new Error(`${message}\n--- the conversation:\n  ${this.transcript.slice(-60).join('\n  ')}`)
  }

  async #until(enough: () => boolean, what: string): Promise<void> {
    while (!enough()) {
      if (this.#over !== undefined) throw this.complaint(`it was over (${this.#over}) before ${what}`)
      const woken = new Promise<void>((resolve) => (this.#wake = resolve))
      await within(READ_DEADLINE_MS, woken, () => this.complaint(`waited for ${what}`).message)
    }
  }

  #openStream(): Duplex {
    return new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        const text = chunk.toString('latin1')
        this.transcript.push(...text.split(/(?<=\r\n)/).map((line) => `< ${brief(line)}`))
        this.#said += text
        this.#written += text
        this.#wake()
        done()
      },
    })
  }

  #openLines(): LineSocket {
    // A LineSocket uses nothing of a Socket that a Duplex lacks.
    return new LineSocket(this.#stream as unknown as Socket, this.#side)
  }
}

/** For the transcript: no line breaks, and not a whole flood. */
function brief(octets: string): string {
  const text = JSON.stringify(octets).slice(1, -1)
  return text.length > 300 ? `${text.slice(0, 300)}... (${octets.length} bytes)` : text
}
