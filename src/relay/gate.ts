/** Holds the client's bytes that the session's guard does not pass on yet, until the back end has sent more. Only guarded sessions have a gate. */

type PassOn = (piece: Buffer) => void

/** Reads along and changes nothing: `SessionObserver` of protocol/watch.ts, without a dependency on protocols. */
export type RelayObserver = {
  readonly mode: 'observe'
  /** @returns false if the session cannot be followed from here on */
  fromClient(chunk: Buffer): boolean
  fromBackend(chunk: Buffer): boolean
  /** @returns whether no command is in progress */
  isIdle(): boolean
}

/** Reads along and decides which bytes are passed on: `SessionGuard` of protocol/watch.ts. */
export type RelayGuard = {
  readonly mode: 'guard'
  /** @returns how many octets were processed; the caller passes the rest again after the back end has sent something. A word is the reason to end the session */
  fromClient(chunk: Buffer, pass: PassOn): number | 'forbidden' | 'ambiguous'
  /** @returns false if the session has to end */
  fromBackend(chunk: Buffer, pass: PassOn): boolean
  isIdle(): boolean
  /** the last line to a client whose command is forbidden; may be empty */
  readonly farewell: string
}

export type RelayWatch = RelayObserver | RelayGuard

export type GateCause = 'client-unauthenticate' | 'client-ambiguous'

export class Gate {
  #guard: RelayGuard
  readonly #toBackend: PassOn
  readonly #toClient: PassOn
  #held: Buffer | undefined

  constructor(guard: RelayGuard, toBackend: PassOn, toClient: PassOn) {
    this.#guard = guard
    this.#toBackend = toBackend
    this.#toClient = toClient
  }

  changeGuard(change: (guard: RelayGuard) => RelayWatch): void {
    const next = change(this.#guard)
    if (next.mode === 'guard') this.#guard = next
  }

  /** While this is true, the client must not be read. */
  get holds(): boolean {
    return this.#held !== undefined
  }

  isIdle(): boolean {
    return !this.holds && this.#guard.isIdle()
  }

  /** @returns the last line to the client if the session ends for this cause; may be empty */
  farewellFor(cause: GateCause): string {
    return cause === 'client-unauthenticate' ? this.#guard.farewell : ''
  }

  /** @returns the cause if the session has to end */
  fromClient(chunk: Buffer): GateCause | undefined {
    const all = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk])
    const passed = this.#guard.fromClient(all, this.#toBackend)
    if (typeof passed === 'string') return passed === 'forbidden' ? 'client-unauthenticate' : 'client-ambiguous'
    // A copy, because the next read may overwrite the chunk (lean-socket.ts).
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
