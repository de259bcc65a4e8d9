/** Whether a session may end now: what its watch knows, or where there is none, what the last octets of each side let one guess. */
import type { Gate, RelayObserver, RelayWatch } from './gate.ts'
import { Turns } from './turns.ts'

/** Silence after which a session without a watch counts as idle, if its back end sent last. A larger value makes a shutdown slower. */
const QUIET_MS = 2000

/** Silence that does not come in the middle of a literal, other than from a peer that stalls. */
export const REST_MS = 1000

type Idleness = { isIdle(): boolean }

export class Progress {
  #observer: RelayObserver | undefined
  /** the observer or the gate */
  #watch: Idleness | undefined
  /** where there is no watch */
  #turns: Turns | undefined
  readonly #gate: Gate | undefined

  constructor(observer: RelayObserver | undefined, gate: Gate | undefined) {
    this.#observer = observer
    this.#gate = gate
    this.#watch = observer ?? gate
    if (!this.#watch) this.#turns = new Turns()
  }

  /** Not to be called in a guarded session: its gate sees the chunk. */
  fromClient(chunk: Buffer): void {
    if (this.#observer?.fromClient(chunk) === false) this.#stopWatching()
    this.#turns?.fromClient(chunk)
  }

  /** as fromClient */
  fromBackend(chunk: Buffer): void {
    if (this.#observer?.fromBackend(chunk) === false) this.#stopWatching()
    this.#turns?.fromBackend(chunk)
  }

  /** The session cannot be followed any more (COMPRESS, or input of two meanings). */
  #stopWatching(): void {
    this.#observer = undefined
    this.#watch = undefined
    this.#turns = new Turns()
  }

  /**
   * Puts another watch in the place of the one in force, as when a trace of the session begins or ends.
   * @param change returns one of the same mode, which goes on where the other is. @returns false where the session has none any more
   */
  changeWatch(change: (watch: RelayWatch) => RelayWatch): boolean {
    if (this.#gate) this.#gate.changeGuard(change)
    else if (this.#observer) {
      const next = change(this.#observer)
      if (next.mode === 'observe') this.#watch = this.#observer = next
    } else return false
    return true
  }

  /** To be called about once a second. @param silentMs how long neither side has sent anything */
  rest(silentMs: number): void {
    if (silentMs >= REST_MS) this.#turns?.rest()
  }

  /**
   * @param silentMs how long neither side has sent anything
   * @param isFlushed everything that has been read has been written
   * @returns whether the session may end now. A watch knows at once; without one the answer is no before some silence
   */
  isSafe(silentMs: number, isFlushed: boolean): boolean {
    if (this.#watch) return isFlushed && this.#watch.isIdle()
    return silentMs >= QUIET_MS && this.#turns?.isAnswered === true
  }

  /** The client would read a message as such, and not as a part of a literal or of compressed octets. */
  get mayHearText(): boolean {
    return this.#watch ? this.#watch.isIdle() : this.#turns?.mayHearText === true
  }
}
