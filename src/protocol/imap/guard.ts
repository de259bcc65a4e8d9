/**
 * The strict mode of the watch. It guarantees that the back end sees the same command boundaries as mailmux: it passes on one command at a
 * time and waits for its tagged response, so that each octet has only one possible meaning. The back end's continuation request confirms
 * each literal: a non-synchronising literal (RFC 7888) is sent to the back end as a synchronising one (RFC 9051 4.3).
 *
 * It ends a session at UNAUTHENTICATE (RFC 8437), which would return the session to the state before login. The next login would then
 * bypass routing, limits and logs. Only sessions of back ends that announce UNAUTHENTICATE are guarded.
 */
import type { PassOn, SessionGuard } from '../watch.ts'
import { CommandReader, type MayRun } from './commands.ts'
import { ResponseReader } from './responses.ts'

/**
 * COMPRESS (RFC 4978) and STARTTLS change the encoding of the octets, and so may AUTHENTICATE (RFC 4422 3.7: a security layer). LOGIN and
 * AUTHENTICATE are valid only before login (RFC 9051 6.2): after it they would log in another user.
 */
const FORBIDDEN = new Set(['UNAUTHENTICATE', 'COMPRESS', 'STARTTLS', 'AUTHENTICATE', 'LOGIN'])

/** Ends the session at a forbidden command, and at input that servers may interpret in different ways. */
export class ImapGuard implements SessionGuard {
  readonly mode = 'guard'
  /** Mail programs do not send forbidden commands, so there is no text for them. */
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
