/** The queue of one back end: waiting logins in the order of their admission. Each wait ends exactly once. */
import type { ProtocolName } from '../../config/settings.ts'
import type { AddressUse } from './address-share.ts'
import type { Slot } from './slot.ts'
import type { LimitName, WaitOptions, WaitOutcome } from './wait.ts'

/** Interval of messages to a waiting client, so that it does not take the connection for dead. */
const STILL_WAITING_MS = 5000

export type WaiterFacts = {
  limit: LimitName
  sinceMs: number
  untilMs: number
  use: AddressUse<Waiter> | undefined
  paused?: Slot
  /** interval of messages to the client */
  everyMs?: number
}

export class Waiter {
  readonly promise: Promise<Slot>
  /** the limit that caused the wait, for messages */
  readonly limit: LimitName
  readonly sinceMs: number
  readonly untilMs: number
  /** the slot to resume; undefined for a login that has no slot yet */
  readonly paused: Slot | undefined
  /** the counts of its network; undefined if its network is not counted */
  readonly use: AddressUse<Waiter> | undefined
  readonly #everyMs: number
  readonly #options: WaitOptions
  readonly #leave: (waiter: Waiter, outcome: WaitOutcome) => void
  readonly #resolve: (slot: Slot) => void
  readonly #reject: (error: Error) => void
  #toldMs: number

  /** @param leave called once, at the end of the wait, before the promise settles */
  constructor(facts: WaiterFacts, options: WaitOptions, leave: (waiter: Waiter, outcome: WaitOutcome) => void) {
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
    this.#everyMs = facts.everyMs ?? STILL_WAITING_MS
    this.#options = options
    this.#leave = leave
    options.signal.addEventListener('abort', this.#onAbort)
  }

  get address(): string | undefined {
    return this.#options.address
  }

  get isKnown(): boolean {
    return this.#options.isKnown === true
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

  /** Tells the client that the wait goes on, if the last message is an interval old. */
  reassure(nowMs: number): void {
    if (nowMs - this.#toldMs < this.#everyMs) return
    this.#toldMs = nowMs
    this.#options.stillWaiting()
  }

  #end(outcome: WaitOutcome): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    this.#leave(this, outcome)
  }

  readonly #onAbort = (): void => this.refuse('client-left', this.#options.signal.reason as Error)
}

/**
 * Ranks in order of precedence: paused logins whose client has answered, further attempts, first attempts of users whose network is known
 * to have logged them in, other first attempts. The last are all guesses of a flood from many networks.
 */
export const RESUMING = 0
const RETURNING = 1
const KNOWN = 2
const ARRIVING = 3

/** @param attempt number of the attempt, from 1 */
export function rankOf(attempt: number, isKnown = false): number {
  if (attempt > 1) return RETURNING
  return isKnown ? KNOWN : ARRIVING
}

export function isFirstOfKnown(rank: number): boolean {
  return rank === KNOWN
}

export const DISPLACED =
  'the login waited for its turn, and its place was needed for a user that has logged in from that network before'

/**
 * The login whose place a known user takes where no place is left. It has come last, and would have none had the other come before it.
 * @param use of this network; undefined: of any
 */
export function youngestUnknown(waiters: Iterable<Waiter>, use: AddressUse<Waiter> | undefined): Waiter | undefined {
  let found: Waiter | undefined
  for (const waiter of waiters) if (!waiter.isKnown && (use === undefined || waiter.use === use)) found = waiter
  return found
}

/** One ordered line for each rank. A parked login is in a line and cannot be admitted: its network has used up its share. */
export class SlotQueue {
  readonly #all: readonly Set<Waiter>[] = [new Set(), new Set(), new Set(), new Set()]
  readonly #ready: readonly Set<Waiter>[] = [new Set(), new Set(), new Set(), new Set()]

  get size(): number {
    return this.#all.reduce((sum, line) => sum + line.size, 0)
  }

  /** The login that is admitted next. */
  get first(): Waiter | undefined {
    for (const line of this.#ready) for (const waiter of line) return waiter
    return undefined
  }

  /** Number of ready logins that go before a new login of this rank. */
  ahead(rank: number): number {
    let count = 0
    for (let line = 0; line <= rank; line++) count += this.#ready[line]?.size ?? 0
    return count
  }

  /** Number of logins that share the places of the queue with this rank, including parked logins: all first attempts have the same places. */
  beside(rank: number): number {
    const own = this.#all[rank]?.size ?? 0
    if (rank < KNOWN) return own
    return own + (this.#all[rank === KNOWN ? ARRIVING : KNOWN]?.size ?? 0)
  }

  /** First attempts of users that are not known, in order, including parked logins. */
  get unknown(): Iterable<Waiter> {
    return this.#all[ARRIVING] ?? []
  }

  get readyUnknown(): Iterable<Waiter> {
    return this.#ready[ARRIVING] ?? []
  }

  /** Adds a login, parked until `makeReady`. */
  join(rank: number, waiter: Waiter): void {
    this.#all[rank]?.add(waiter)
  }

  makeReady(waiter: Waiter): void {
    this.#all.forEach((line, rank) => {
      if (line.has(waiter)) this.#ready[rank]?.add(waiter)
    })
  }

  park(waiter: Waiter): void {
    for (const line of this.#ready) line.delete(waiter)
  }

  /** @returns whether it was ready */
  remove(waiter: Waiter): boolean {
    for (const line of this.#all) line.delete(waiter)
    return this.#ready.some((line) => line.delete(waiter))
  }

  /** Includes parked logins. A login may leave the queue during the iteration. */
  *[Symbol.iterator](): Generator<Waiter, void, undefined> {
    for (const line of this.#all) yield* line
  }
}
