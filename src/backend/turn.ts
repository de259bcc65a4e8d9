/** A place at a back end: a login's, and then its session's. */
import type { Patience } from './waiting-line.ts'

/** What the gate does where a turn changes; each is called once for each change. */
export type TurnKeeper = {
  /** `login`: another login may be under way. `paused`: the same, of a login that waited for its client. `place`: the whole place is free. */
  giveBack(what: 'login' | 'paused' | 'place', turn: Turn): void
  pause(): void
  resume(turn: Turn, patience: Patience): Promise<Turn>
}

export class Turn {
  /** the client's, whose share of the logins this turn is of; undefined where no client has an address */
  readonly address: string | undefined
  /** kept by the gate while it resumes a turn */
  holds: 'login' | 'paused' | 'session' | 'nothing' = 'login'
  readonly #keeper: TurnKeeper

  constructor(keeper: TurnKeeper, address: string | undefined) {
    this.#keeper = keeper
    this.address = address
  }

  /** The login has become a session: another login may be under way. Has no effect once the place is given back. */
  loggedIn(): void {
    if (this.holds !== 'login') return
    this.holds = 'session'
    this.#keeper.giveBack('login', this)
  }

  /** The back end has asked the client something: it has no work now, and another login may be under way. */
  pause(): void {
    if (this.holds !== 'login') return
    this.holds = 'paused'
    this.#keeper.pause()
  }

  /** The client has answered. Resolves once the login may go on, ahead of all that wait to begin. @throws MuxError as a wait for a turn */
  async resume(patience: Patience): Promise<void> {
    if (this.holds === 'paused') await this.#keeper.resume(this, patience)
  }

  /** Gives the place back. Further calls have no effect. */
  release(): void {
    if (this.holds === 'nothing') return
    const held = this.holds
    this.holds = 'nothing'
    if (held !== 'session') this.#keeper.giveBack(held, this)
    this.#keeper.giveBack('place', this)
  }
}
