/**
 * Follows an IMAP session after login without a change to it. It is idle while every command has its tagged answer, or while an IDLE is
 * confirmed and the client has sent nothing since: a BYE ends that for every client (RFC 9051 7.1.5). Behind COMPRESS, and at input of
 * two meanings, the session cannot be followed.
 *
 * Each reader lends all octets of its open literal but the last, and the watch counts these itself. A chunk inside a literal then touches
 * no other object of the watch: in a busy process those have left the processor's cache since the session's last chunk. The last octet
 * is for the reader, which therefore stays inside the literal until it comes.
 */
import type { SessionObserver } from '../watch.ts'
import { CommandReader } from './commands.ts'
import { PlainExchange } from './plain-exchange.ts'
import { ResponseReader } from './responses.ts'

export class ImapWatch implements SessionObserver {
  readonly mode = 'observe'
  readonly #commands = new CommandReader()
  readonly #responses = new ResponseReader(this.#commands)
  readonly #plain = new PlainExchange()

  /** lent octets that have not come yet */
  #lentFromClient = 0
  #lentFromBackend = 0

  fromClient(chunk: Buffer): boolean {
    const lent = this.#lentFromClient
    if (chunk.length <= lent) {
      this.#lentFromClient = lent - chunk.length
      return true
    }
    if (this.#plain.isOpen) this.#readInFull()
    else if (this.#commands.isResting && this.#plain.begin(chunk)) return true
    this.#lentFromClient = this.#commands.observe(chunk, lent)
    return this.#lentFromClient >= 0
  }

  fromBackend(chunk: Buffer): boolean {
    const lent = this.#lentFromBackend
    if (chunk.length <= lent) {
      this.#lentFromBackend = lent - chunk.length
      return true
    }
    if (this.#plain.isOpen) {
      if (this.#responses.isBetweenResponses && this.#plain.end(chunk)) return true
      this.#readInFull()
    }
    this.#lentFromBackend = this.#responses.observe(chunk, lent)
    return this.#lentFromBackend >= 0
  }

  /** More than an answer to a plain command comes. */
  #readInFull(): void {
    this.#commands.addPlain(this.#plain.give())
  }

  isIdle(): boolean {
    return !this.#plain.isOpen && this.#commands.isIdle() && this.#responses.isBetweenResponses
  }
}
