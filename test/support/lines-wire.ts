/** A wire whose other side has said everything beforehand: for tables of many short dialogues. `memory-wire.ts` has a real reader and cuts. */
import { MuxError } from '../../src/errors.ts'
import { asOctets, type Octets } from '../../src/octets.ts'
import type { ClientWire, LineLimit } from '../../src/protocol/protocol.ts'

export class LinesWire implements ClientWire {
  readonly certifiedUser: Octets | undefined
  secure = false
  /** what mailmux has written, and `= TLS` where it has started that */
  readonly written: string[] = []
  /** the bound of each line that was read */
  readonly limits: LineLimit[] = []
  #said: string

  /** @param lines what the other side says, without the line ends */
  constructor(lines: readonly string[]) {
    this.#said = lines.map((line) => `${line}\r\n`).join('')
  }

  readLine(limit: LineLimit): Promise<Octets> {
    this.limits.push(limit)
    const end = this.#said.indexOf('\r\n')
    if (end === -1) return Promise.reject(new MuxError('backend-closed', 'nothing more is said'))
    return Promise.resolve(this.#take(end, 2))
  }

  readBytes(count: number): Promise<Octets> {
    return Promise.resolve(this.#take(count, 0))
  }

  write(text: string): void {
    this.written.push(text)
  }

  startTls(): Promise<void> {
    this.secure = true
    this.written.push('= TLS')
    return Promise.resolve()
  }

  #take(count: number, lineEnd: number): Octets {
    const taken = this.#said.slice(0, count)
    this.#said = this.#said.slice(count + lineEnd)
    return asOctets(taken)
  }
}
