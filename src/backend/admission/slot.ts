/** A slot at a back end: held by a login, and then by its session. */
import type { WaitOptions } from './wait.ts'

/** The gate's part of a change of a slot. Each method is called once for each change. */
export type SlotKeeper = {
  /** `login`: another login may be under way. `paused`: the same, for a login that waited for its client. `slot`: the whole slot is free. */
  giveBack(what: 'login' | 'paused' | 'slot', slot: Slot): void
  pause(): void
  resume(slot: Slot, options: WaitOptions): Promise<Slot>
}

export class Slot {
  /** the client's address, whose share of the logins this slot counts for; undefined if no client has an address */
  readonly address: string | undefined
  /** the gate sets it when it resumes a slot */
  holds: 'login' | 'paused' | 'session' | 'nothing' = 'login'
  /** how long the login waited because its back end was paused */
  heldMs = 0
  readonly #keeper: SlotKeeper

  constructor(keeper: SlotKeeper, address: string | undefined) {
    this.#keeper = keeper
    this.address = address
  }

  /** The login has become a session: another login may be under way. Has no effect after `release`. */
  becomeSession(): void {
    if (this.holds !== 'login') return
    this.holds = 'session'
    this.#keeper.giveBack('login', this)
  }

  /** The back end waits for the client: it has no work for this login now, and another login may be under way. */
  pause(): void {
    if (this.holds !== 'login') return
    this.holds = 'paused'
    this.#keeper.pause()
  }

  /** Resolves once a paused login may go on. Paused logins go ahead of all logins that begin. @throws MuxError as a wait for a slot */
  async resume(options: WaitOptions): Promise<void> {
    if (this.holds === 'paused') await this.#keeper.resume(this, options)
  }

  /** Gives the slot back. May be called more than once. */
  release(): void {
    if (this.holds === 'nothing') return
    const held = this.holds
    this.holds = 'nothing'
    if (held !== 'session') this.#keeper.giveBack(held, this)
    this.#keeper.giveBack('slot', this)
  }
}
