/** Those who wait at the gate of one back end, in the order in which they are let in. Each wait ends once, whatever happens to it. */
import type { ProtocolName } from '../../config/settings.ts'
import type { AddressUse } from './address-share.ts'
import type { Slot } from './slot.ts'
import type { LimitName, WaitOptions, WaitOutcome } from './wait.ts'

/** A client that hears nothing for longer may think that the connection is dead; more often is noise. */
const STILL_WAITING_MS = 5000

export class Waiter {
  readonly promise: Promise<Slot>
  /** what it waits for, for messages */
  readonly limit: LimitName
  readonly sinceMs: number
  readonly untilMs: number
  /** the slot that is to be resumed; undefined for a login that is to begin */
  readonly paused: Slot | undefined
  /** what its network has; undefined where nothing is counted */
  readonly use: AddressUse<Waiter> | undefined
  readonly #options: WaitOptions
  readonly #leave: (waiter: Waiter, outcome: WaitOutcome) => void
  readonly #resolve: (slot: Slot) => void
  readonly #reject: (error: Error) => void
  #toldMs: number

  /** @param leave is called once, at its end, before the promise settles */
  constructor(
    facts: { limit: LimitName; sinceMs: number; untilMs: number; use: AddressUse<Waiter> | undefined; paused?: Slot },
    options: WaitOptions,
    leave: (waiter: Waiter, outcome: WaitOutcome) => void,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<Slot>()
    this.promise = promise
    this.#resolve = resolve
    this.#reject = reject
    this.limit = facts.limit
    this.sinceMs = facts.sinceMs
    this.untilMs = facts.untilMs
    this.use = facts.use
    this.paused = facts.paused
    this.#toldMs = facts.sinceMs
    this.#options = options
    this.#leave = leave
    options.signal.addEventListener('abort', this.#onAbort)
  }

  get address(): string | undefined {
    return this.#options.address
  }

  get protocol(): ProtocolName {
    return this.#options.protocol
  }

  admit(slot: Slot): void {
    this.#end('admitted')
    this.#resolve(slot)
  }

  refuse(outcome: WaitOutcome, error: Error): void {
    this.#end(outcome)
    this.#reject(error)
  }

  /** Lets the client hear of it, where it has heard nothing for a while. */
  reassure(nowMs: number): void {
    if (nowMs - this.#toldMs < STILL_WAITING_MS) return
    this.#toldMs = nowMs
    this.#options.stillWaiting()
  }

  #end(outcome: WaitOutcome): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    this.#leave(this, outcome)
  }

  readonly #onAbort = (): void => this.refuse('client-left', this.#options.signal.reason as Error)
}

/** In order of precedence: logins whose client has answered, logins that are tried again, logins that begin. */
export const RESUMING = 0
const RETURNING = 1
const ARRIVING = 2

/** @param attempt of a login that is to begin, from 1 */
export function rankOf(attempt: number): number {
  return attempt > 1 ? RETURNING : ARRIVING
}

/** Three lines, each in order. Those that are parked are in a line but are not let in: the share of their network is used up. */
export class SlotQueue {
  readonly #all: readonly Set<Waiter>[] = [new Set(), new Set(), new Set()]
  readonly #ready: readonly Set<Waiter>[] = [new Set(), new Set(), new Set()]

  get size(): number {
    return this.#all.reduce((sum, line) => sum + line.size, 0)
  }

  /** The one that is let in next. */
  get first(): Waiter | undefined {
    for (const line of this.#ready) for (const waiter of line) return waiter
    return undefined
  }

  /** How many may be let in before a login of this rank that comes now. */
  ahead(rank: number): number {
    let count = 0
    for (let line = 0; line <= rank; line++) count += this.#ready[line]?.size ?? 0
    return count
  }

  /** How many are in the line of this rank. */
  beside(rank: number): number {
    return this.#all[rank]?.size ?? 0
  }

  /** Parked, until it is made ready. */
  join(rank: number, waiter: Waiter): void {
    this.#all[rank]?.add(waiter)
  }

  makeReady(waiter: Waiter): void {
    this.#all.forEach((line, rank) => {
      if (line.has(waiter)) this.#ready[rank]?.add(waiter)
    })
  }

  /** @returns whether it was ready */
  remove(waiter: Waiter): boolean {
    for (const line of this.#all) line.delete(waiter)
    return this.#ready.some((line) => line.delete(waiter))
  }

  /** All, parked ones too. A waiter may leave meanwhile. */
  *[Symbol.iterator](): Generator<Waiter, void, undefined> {
    for (const line of this.#all) yield* line
  }
}
