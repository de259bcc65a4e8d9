/**
 * The logins that wait because an operator has paused or drains their back end. They hold no slot and no connection. The line is bounded,
 * and so is the part of it that the clients of one network take. After the pause its logins enter the gate in order, at the gate's rate.
 */
import type { BackendLimits } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import { AddressShares, PARTS, shareOf, type AddressUse } from './address-share.ts'
import type { GateParts } from './gate-parts.ts'
import { DISPLACED, Waiter, youngestUnknown } from './queue.ts'
import type { Slot } from './slot.ts'
import { reassureMs, type WaitOptions, type WaitOutcome } from './wait.ts'

type Enter = (address: string | undefined, isKnown: boolean) => Slot | undefined

export class HoldLine {
  readonly #backend: string
  readonly #parts: Omit<GateParts, 'log'>
  readonly #known = new Set<Waiter>()
  readonly #unknown = new Set<Waiter>()
  readonly #shares = new AddressShares<Waiter>()
  /** start of the pause; undefined outside of one */
  #heldSinceMs: number | undefined
  /** of the current pause, or of the last one */
  #state: 'pause' | 'drain' = 'pause'

  constructor(backend: string, parts: Omit<GateParts, 'log'>) {
    this.#backend = backend
    this.#parts = parts
  }

  /** A login must wait here: the back end is paused, or logins of the last pause have not entered yet. */
  get isHolding(): boolean {
    return this.#heldSinceMs !== undefined || this.size > 0
  }

  get size(): number {
    return this.#known.size + this.#unknown.size
  }

  hold(state: 'pause' | 'drain'): void {
    this.#state = state
    this.#heldSinceMs ??= this.#parts.nowMs()
  }

  /** @returns the duration of the pause; undefined if there was none */
  release(): number | undefined {
    const sinceMs = this.#heldSinceMs
    this.#heldSinceMs = undefined
    return sinceMs === undefined ? undefined : this.#parts.nowMs() - sinceMs
  }

  /** @throws MuxError `backend-paused`, `backend-drained`, `backend-down`, `shutting-down`, or the reason of the signal */
  async wait(options: WaitOptions, { queue, leastForAddress }: BackendLimits): Promise<Slot> {
    const { signal, address, isKnown = false } = options
    if (signal.aborted) throw signal.reason
    const before = this.#shares.get(address)
    const full = before && before.waiting >= shareOf(queue, leastForAddress) ? before : undefined
    const isLineFull = this.size >= queue
    if ((isLineFull || full) && !(isKnown && this.#displace(full)))
      throw this.#full(
        isLineFull ? `${queue} logins wait already` : `${full?.waiting} logins of ${full?.network} wait already`,
      )
    const use = this.#shares.open(address)
    const { nowMs, random, onWait } = this.#parts
    const everyMs = reassureMs(random)
    const facts = { limit: 'state', sinceMs: nowMs(), untilMs: options.holdUntilMs, use, everyMs } as const
    const waiter = new Waiter(facts, options, this.#onLeave)
    const line = isKnown ? this.#known : this.#unknown
    line.add(waiter)
    if (use) use.waiting++
    onWait()
    return waiter.promise
  }

  /**
   * Ends the waits whose time is up, and lets logins enter if the pause is over.
   * @param enter takes a slot of the gate for a login
   * @returns whether further calls are needed
   */
  tick(enter: Enter): boolean {
    if (this.size === 0) return false
    const nowMs = this.#parts.nowMs()
    for (const waiter of this.#waiting()) {
      if (nowMs < waiter.untilMs) waiter.reassure(nowMs)
      else waiter.refuse('timed-out', this.#timedOut(waiter, nowMs))
    }
    if (this.#heldSinceMs === undefined) this.#admit(enter, nowMs)
    return this.size > 0
  }

  endWaits(outcome: WaitOutcome, error: MuxError): void {
    for (const waiter of this.#waiting()) waiter.refuse(outcome, error)
  }

  /** In the order in which they enter. */
  *#waiting(): Generator<Waiter, void, undefined> {
    yield* this.#known
    yield* this.#unknown
  }

  /** As in the gate: ends the wait of a user that is not known, for one that is. */
  #displace(use: AddressUse<Waiter> | undefined): boolean {
    const youngest = youngestUnknown(this.#unknown, use)
    youngest?.refuse(
      'queue-full',
      this.#error(`is ${this.#state === 'drain' ? 'drained' : 'paused'}, and ${DISPLACED}`),
    )
    return youngest !== undefined
  }

  #admit(enter: Enter, nowMs: number): void {
    // A network at its share must not stop the others. `PARTS` networks at their shares take all slots: nothing is left to try then.
    const blocked = new Set<string | undefined>()
    for (const waiter of this.#waiting()) {
      const network = waiter.use?.network
      if (blocked.has(network)) continue
      const slot = enter(waiter.address, waiter.isKnown)
      if (!slot) {
        if (blocked.add(network).size > PARTS) return
        continue
      }
      slot.heldMs = nowMs - waiter.sinceMs
      waiter.admit(slot)
    }
  }

  readonly #onLeave = (waiter: Waiter, outcome: WaitOutcome): void => {
    this.#known.delete(waiter)
    this.#unknown.delete(waiter)
    if (waiter.use) {
      waiter.use.waiting--
      this.#shares.closeIfEmpty(waiter.use)
    }
    this.#parts.loginWaited(this.#backend, 'state', outcome, this.#parts.nowMs() - waiter.sinceMs)
  }

  #full(why: string): MuxError {
    this.#parts.loginWaited(this.#backend, 'state', 'queue-full', 0)
    return this.#error(`is ${this.#state === 'drain' ? 'drained' : 'paused'}, and ${why}`)
  }

  #timedOut({ sinceMs }: Waiter, nowMs: number): MuxError {
    const waited = Math.round(nowMs - sinceMs)
    return this.#error(`was ${this.#state === 'drain' ? 'drained' : 'paused'}, and the login has waited ${waited} ms`)
  }

  #error(what: string): MuxError {
    return new MuxError(this.#state === 'drain' ? 'backend-drained' : 'backend-paused', `${this.#backend} ${what}`)
  }
}
