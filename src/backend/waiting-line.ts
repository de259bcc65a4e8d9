/** Those who wait at the gate of one back end, in the order in which they are let in. Each wait ends once, whatever happens to it. */
import type { ProtocolName } from '../config/settings.ts'
import type { Turn } from './turn.ts'

/** Which limit keeps a login out; `slow_start` is what is left of the others for a while. */
export type LimitName = 'sessions' | 'logins' | 'logins_per_second' | 'slow_start'

/** How a wait ended. */
export type WaitOutcome = 'admitted' | 'timed-out' | 'queue-full' | 'client-left' | 'backend-down' | 'shutting-down'

/** How somebody waits. */
export type Patience = {
  /** what it is to speak there */
  protocol: ProtocolName
  /** the caller's own deadline, on the clock of the gate */
  untilMs: number
  /** ends the wait when the client has gone, with its reason as the error */
  signal: AbortSignal
  /** told from time to time that it goes on */
  stillWaiting: () => void
}

/** A client that hears nothing for longer may think that the connection is dead; more often is noise. */
const STILL_WAITING_MS = 5000

export class Waiter {
  readonly promise: Promise<Turn>
  /** what it waits for, for messages */
  readonly limit: LimitName
  readonly sinceMs: number
  readonly untilMs: number
  readonly #patience: Patience
  readonly #leave: (waiter: Waiter, outcome: WaitOutcome) => void
  readonly #resolve: (turn: Turn) => void
  readonly #reject: (error: Error) => void
  #toldMs: number

  /** @param leave is called once, at its end, before the promise settles */
  constructor(
    { limit, sinceMs, untilMs }: { limit: LimitName; sinceMs: number; untilMs: number },
    patience: Patience,
    leave: (waiter: Waiter, outcome: WaitOutcome) => void,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<Turn>()
    this.promise = promise
    this.#resolve = resolve
    this.#reject = reject
    this.limit = limit
    this.sinceMs = sinceMs
    this.untilMs = untilMs
    this.#toldMs = sinceMs
    this.#patience = patience
    this.#leave = leave
    patience.signal.addEventListener('abort', this.#onAbort)
  }

  get protocol(): ProtocolName {
    return this.#patience.protocol
  }

  admit(turn: Turn): void {
    this.#end('admitted')
    this.#resolve(turn)
  }

  refuse(outcome: WaitOutcome, error: Error): void {
    this.#end(outcome)
    this.#reject(error)
  }

  /** Lets the client hear of it, where it has heard nothing for a while. */
  reassure(nowMs: number): void {
    if (nowMs - this.#toldMs < STILL_WAITING_MS) return
    this.#toldMs = nowMs
    this.#patience.stillWaiting()
  }

  #end(outcome: WaitOutcome): void {
    this.#patience.signal.removeEventListener('abort', this.#onAbort)
    this.#leave(this, outcome)
  }

  readonly #onAbort = (): void => this.refuse('client-left', this.#patience.signal.reason as Error)
}

/** Two lines: who has been let in before (a login that is tried again) goes ahead of those who have not. */
export class WaitingLine {
  readonly #returning = new Set<Waiter>()
  readonly #arriving = new Set<Waiter>()

  get size(): number {
    return this.#returning.size + this.#arriving.size
  }

  get first(): Waiter | undefined {
    const [first] = this
    return first
  }

  /** How many are in front of somebody who comes now. @param attempt from 1 */
  ahead(attempt: number): number {
    return attempt > 1 ? this.#returning.size : this.size
  }

  /** How many are in the same line as somebody who comes now. */
  beside(attempt: number): number {
    return this.#lineFor(attempt).size
  }

  join(attempt: number, waiter: Waiter): void {
    this.#lineFor(attempt).add(waiter)
  }

  remove(waiter: Waiter): void {
    if (!this.#returning.delete(waiter)) this.#arriving.delete(waiter)
  }

  /** In order; who leaves on the way is not in the way. */
  *[Symbol.iterator](): Generator<Waiter, void, undefined> {
    yield* this.#returning
    yield* this.#arriving
  }

  #lineFor(attempt: number): Set<Waiter> {
    return attempt > 1 ? this.#returning : this.#arriving
  }
}
