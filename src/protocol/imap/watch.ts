/**
 * Follows an IMAP session after login without a change to it. It is idle while every command has its tagged answer, or while an IDLE is
 * confirmed and the client has sent nothing since: a BYE ends that for every client (RFC 9051 7.1.5). Behind COMPRESS, and at input of
 * two meanings, the session cannot be followed.
 */
import type { SessionObserver } from '../watch.ts'
import { CommandReader } from './commands.ts'
import { ResponseReader } from './responses.ts'

export class ImapWatch implements SessionObserver {
  readonly mode = 'observe'
  readonly #commands = new CommandReader()
  readonly #responses = new ResponseReader(this.#commands)

  fromClient(chunk: Buffer): boolean {
    return this.#commands.observe(chunk)
  }

  fromBackend(chunk: Buffer): boolean {
    return this.#responses.observe(chunk)
  }

  isIdle(): boolean {
    return this.#commands.isIdle() && this.#responses.isBetweenResponses
  }
}
