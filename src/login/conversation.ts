/**
 * The client's part of a login by a mechanism that is relayed line by line: whether it has begun, and how long the client has taken.
 * The answer to a challenge has a deadline of its own. No person is asked, and a connection to the back end stays open for a client
 * that has proved nothing.
 */
import { MuxError } from '../errors.ts'
import type { RelayedCredentials } from '../protocol/protocol.ts'
import { stop, type LoginClock } from './clock.ts'

/** For all answers of one login. A phone that computes many iterations of SCRAM over a bad network needs less. */
const CLIENT_ANSWERS_MS = 10_000

/** Is told about each challenge. */
export type ConversationObserver = {
  /** The back end waits for the client. */
  challenged(): void
  /** The client has answered. The back end gets the answer when this resolves. */
  answered(): Promise<void>
}

export class Conversation {
  /** used in place of those of the client's login */
  readonly credentials: RelayedCredentials
  /** the client has been asked for a proof, and a further attempt would ask for a second one */
  hasBegun = false
  /** how long the login has waited for the client, and for its slot after each answer */
  clientMs = 0
  observer: ConversationObserver | undefined = undefined
  readonly #relayed: RelayedCredentials
  readonly #client: { fail(error: MuxError): void }
  readonly #clock: LoginClock

  /** @param client its `fail` ends the wait for the client's line with the error `client-login-timeout` */
  constructor(relayed: RelayedCredentials, client: { fail(error: MuxError): void }, clock: LoginClock) {
    this.#relayed = relayed
    this.#client = client
    this.#clock = clock
    this.credentials = { ...relayed, converse: (challenge) => this.#converse(challenge) }
  }

  async #converse(challenge: string): Promise<string> {
    this.hasBegun = true
    this.observer?.challenged()
    const askedMs = this.#clock.nowMs()
    const timer = this.#clock.after(Math.max(0, CLIENT_ANSWERS_MS - this.clientMs), this.#expire)
    try {
      const line = await this.#relayed.converse(challenge)
      stop(timer)
      await this.observer?.answered()
      return line
    } finally {
      stop(timer)
      this.clientMs += this.#clock.nowMs() - askedMs
    }
  }

  readonly #expire = (): void =>
    this.#client.fail(new MuxError('client-login-timeout', `no answer to a challenge within ${CLIENT_ANSWERS_MS} ms`))
}
