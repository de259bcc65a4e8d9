/**
 * Follows an IMAP session after login without a change to it. It is idle while every command has its tagged answer, or while an IDLE is
 * confirmed and the client has sent nothing since: a BYE ends that for every client (RFC 9051 7.1.5). Behind COMPRESS, and at input of
 * two meanings, the session cannot be followed.
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

  fromClient(chunk: Buffer): boolean {
    if (this.#plain.isOpen) this.#readInFull()
    else if (this.#commands.isResting && this.#plain.begin(chunk)) return true
    return this.#commands.observe(chunk)
  }

  fromBackend(chunk: Buffer): boolean {
    if (this.#plain.isOpen) {
      if (this.#responses.isBetweenResponses && this.#plain.end(chunk)) return true
      this.#readInFull()
    }
    return this.#responses.observe(chunk)
  }

  /** More than an answer to a plain command comes. */
  #readInFull(): void {
    this.#commands.addPlain(this.#plain.give())
  }

  isIdle(): boolean {
    return !this.#plain.isOpen && this.#commands.isIdle() && this.#responses.isBetweenResponses
  }
}
