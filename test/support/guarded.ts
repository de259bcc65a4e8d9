/** A guard between a client's octets and a back end, driven as the relay drives it, and an IMAP server in memory to put behind it. */
import type { SessionGuard } from '../../src/protocol/watch.ts'

/** The guard's two sides, with what the client has sent and the guard does not let pass yet. */
export class GuardedSession {
  /** what has reached the back end and the client, as latin1 */
  toBackend = ''
  toClient = ''
  /** why the guard has ended the session */
  ended: 'forbidden' | 'ambiguous' | undefined
  #held = ''
  readonly #guard: SessionGuard

  constructor(guard: SessionGuard) {
    this.#guard = guard
  }

  /** something of the client waits for the back end to speak */
  get holds(): boolean {
    return this.#held !== ''
  }

  /** @returns what the guard lets through to the back end */
  fromClient(octets: string): string {
    this.#held += octets
    return this.#release()
  }

  /** @returns what of the client's octets may go on now */
  fromBackend(octets: string): string {
    if (this.ended) return ''
    const passed = this.#guard.fromBackend(Buffer.from(octets, 'latin1'), (piece) => {
      this.toClient += piece.toString('latin1')
    })
    if (!passed) this.ended = 'ambiguous'
    return this.#release()
  }

  #release(): string {
    if (this.ended || this.#held === '') return ''
    let passed = ''
    const taken = this.#guard.fromClient(Buffer.from(this.#held, 'latin1'), (piece) => {
      passed += piece.toString('latin1')
    })
    if (typeof taken === 'string') this.ended = taken
    else this.#held = this.#held.slice(taken)
    this.toBackend += passed
    return passed
  }
}

export type ServerOptions = {
  /** whether the line may end with a literal; a line that may not is answered BAD */
  takesLiteral?: (line: string) => boolean
  takesIdle?: boolean
}

/** Reads commands as the RFCs have it, and answers each with OK. */
export class ImapServer {
  /** whole commands, with their literals */
  readonly commands: string[] = []
  readonly #options: ServerOptions
  #unread = ''
  #command = ''
  #literalLeft = 0
  #idleTag: string | undefined

  constructor(options: ServerOptions = {}) {
    this.#options = options
  }

  /** @returns what the server says to that */
  take(octets: string): string {
    this.#unread += octets
    let said = ''
    for (;;) {
      if (this.#literalLeft > 0) {
        if (this.#unread === '') return said
        const literal = this.#unread.slice(0, this.#literalLeft)
        this.#literalLeft -= literal.length
        this.#command += literal
        this.#unread = this.#unread.slice(literal.length)
        continue
      }
      const end = this.#unread.indexOf('\n')
      if (end === -1) return said
      const line = this.#unread.slice(0, end).replace(/\r$/, '')
      this.#unread = this.#unread.slice(end + 1)
      said += this.#takeLine(line)
    }
  }

  #takeLine(line: string): string {
    const { takesLiteral = () => true, takesIdle = true } = this.#options
    if (this.#idleTag !== undefined) {
      const answer = `${this.#idleTag} ${/^DONE$/i.test(line) ? 'OK' : 'BAD'} idle\r\n`
      this.#idleTag = undefined
      return answer
    }
    this.#command += line
    const [, bytes] = /\{(\d+)(\+?)\}$/.exec(line) ?? []
    const [tag = '', name = ''] = this.#command.split(/ +/)
    if (bytes !== undefined && takesLiteral(line)) {
      this.#literalLeft = Number(bytes)
      this.#command += '\r\n'
      return line.endsWith('+}') ? '' : '+ go ahead\r\n'
    }
    const command = this.#command
    this.#command = ''
    if (command === '') return '* BAD Invalid tag\r\n'
    this.commands.push(command)
    if (/^IDLE$/i.test(name) && takesIdle) {
      this.#idleTag = tag
      return '+ idling\r\n'
    }
    return `${tag} ${bytes === undefined && name !== '' ? 'OK' : 'BAD'} done {7}\r\n`
  }
}
