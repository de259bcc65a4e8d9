/** Holds what a client sends for as long as the session's guard has to hear the back end first. Only guarded sessions have one. */

type PassOn = (piece: Buffer) => void

/** Follows a session, and decides what of it may go on. */
export type RelayGuard = {
  /** @returns how many octets are dealt with; the rest is given again once the back end has spoken. Or why the session has to end */
  fromClient(chunk: Buffer, pass: PassOn): number | 'forbidden' | 'ambiguous'
  /** @returns false where the session has to end */
  fromBackend(chunk: Buffer, pass: PassOn): boolean
}

export type GateCause = 'client-unauthenticate' | 'client-ambiguous'

export class Gate {
  readonly #guard: RelayGuard
  readonly #toBackend: PassOn
  readonly #toClient: PassOn
  #held: Buffer | undefined

  constructor(guard: RelayGuard, toBackend: PassOn, toClient: PassOn) {
    this.#guard = guard
    this.#toBackend = toBackend
    this.#toClient = toClient
  }

  /** The client is not to be read from while something of it is held. */
  get holds(): boolean {
    return this.#held !== undefined
  }

  /** @returns why the session has to end, if it has to */
  fromClient(chunk: Buffer): GateCause | undefined {
    const all = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk])
    const passed = this.#guard.fromClient(all, this.#toBackend)
    if (typeof passed === 'string') return passed === 'forbidden' ? 'client-unauthenticate' : 'client-ambiguous'
    // A copy: the chunk may lie in memory that is read into again (lean-socket.ts).
    this.#held = passed === all.length ? undefined : Buffer.from(all.subarray(passed))
    return undefined
  }

  /** @returns as fromClient */
  fromBackend(chunk: Buffer): GateCause | undefined {
    if (!this.#guard.fromBackend(chunk, this.#toClient)) return 'client-ambiguous'
    const held = this.#held
    this.#held = undefined
    return held && this.fromClient(held)
  }
}
