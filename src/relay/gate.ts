/** Holds what a client sends until the session's guard has heard the back end. Only guarded sessions have a gate. */

type PassOn = (piece: Buffer) => void

/** Follows a session and changes nothing: `SessionObserver` of protocol/watch.ts, without a dependency on protocols. */
export type RelayObserver = {
  readonly mode: 'observe'
  /** @returns false where the session cannot be followed from here on */
  fromClient(chunk: Buffer): boolean
  fromBackend(chunk: Buffer): boolean
  /** @returns whether no command is in progress */
  isIdle(): boolean
}

/** Follows a session and decides what of it may go on: `SessionGuard` of protocol/watch.ts. */
export type RelayGuard = {
  readonly mode: 'guard'
  /** @returns how many octets are dealt with; the rest is given again once the back end has sent something. Or why the session has to end */
  fromClient(chunk: Buffer, pass: PassOn): number | 'forbidden' | 'ambiguous'
  /** @returns false where the session has to end */
  fromBackend(chunk: Buffer, pass: PassOn): boolean
  isIdle(): boolean
  /** the last line to a client whose command is forbidden; may be empty */
  readonly farewell: string
}

export type RelayWatch = RelayObserver | RelayGuard

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

  /** The client must not be read from while something of it is held. */
  get holds(): boolean {
    return this.#held !== undefined
  }

  isIdle(): boolean {
    return !this.holds && this.#guard.isIdle()
  }

  /** @returns what the client is told where the session ends for this cause; may be empty */
  farewellFor(cause: GateCause): string {
    return cause === 'client-unauthenticate' ? this.#guard.farewell : ''
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
