/**
 * The strict mode of the watch. It follows a session so closely that the back end cannot read a command elsewhere than here: it lets one
 * command through at a time and waits for its tagged answer, so that each octet has one possible meaning. The back end's own answer decides
 * what a literal is: a non-synchronising one (RFC 7888) is announced to the back end as a synchronising one (RFC 9051 4.3).
 *
 * It ends a session at UNAUTHENTICATE (RFC 8437), which would bring it back before its login, where the next user would get in past routing,
 * limits and logs. Only sessions of back ends that announce UNAUTHENTICATE are guarded.
 */
import type { PassOn, SessionGuard } from '../watch.ts'
import { CommandReader, type MayRun } from './commands.ts'
import { ResponseReader } from './responses.ts'

/**
 * COMPRESS (RFC 4978) and STARTTLS change what the octets mean, and so may AUTHENTICATE (RFC 4422 3.7: a security layer). LOGIN belongs to
 * the time before login, as AUTHENTICATE does (RFC 9051 6.2): it would be the next user's.
 */
const FORBIDDEN = new Set(['UNAUTHENTICATE', 'COMPRESS', 'STARTTLS', 'AUTHENTICATE', 'LOGIN'])

/** Ends the session at a command that may not run, and at input that servers may read in different ways. */
export class ImapGuard implements SessionGuard {
  readonly mode = 'guard'
  /** The client did what no mail program does: it is told nothing. */
  readonly farewell = ''
  readonly #commands: CommandReader
  readonly #responses: ResponseReader

  constructor(mayRun: MayRun = (name) => !FORBIDDEN.has(name)) {
    this.#commands = new CommandReader(mayRun)
    this.#responses = new ResponseReader(this.#commands)
  }

  fromClient(chunk: Buffer, pass: PassOn): number | 'forbidden' | 'ambiguous' {
    return this.#commands.passOn(chunk, pass)
  }

  fromBackend(chunk: Buffer, pass: PassOn): boolean {
    return this.#responses.passOn(chunk, pass)
  }

  isIdle(): boolean {
    return this.#commands.isIdle() && this.#responses.isBetweenResponses
  }
}
