/**
 * The logins that wait because an operator has paused or drains their back end. They hold no slot and no connection. The line is bounded,
 * and so is the part of it that the clients of one network take. After the pause its logins enter the gate in order, at the gate's rate.
 */
import type { BackendLimits } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import { AddressShares, PARTS, shareOf } from './address-share.ts'
import type { GateParts } from './gate-parts.ts'
import { Waiter } from './queue.ts'
import type { Slot } from './slot.ts'
import { reassureMs, type WaitOptions, type WaitOutcome } from './wait.ts'

export class HoldLine {
  readonly #backend: string
  readonly #parts: Omit<GateParts, 'log'>
  readonly #waiting = new Set<Waiter>()
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
    return this.#heldSinceMs !== undefined || this.#waiting.size > 0
  }

  get size(): number {
    return this.#waiting.size
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
    if (options.signal.aborted) throw options.signal.reason
    if (this.#waiting.size >= queue) throw this.#full(`${queue} logins wait already`)
    const use = this.#shares.open(options.address)
    if (use && use.waiting >= shareOf(queue, leastForAddress))
      throw this.#full(`${use.waiting} logins of ${use.network} wait already`)
    const { nowMs, random, onWait } = this.#parts
    const everyMs = reassureMs(random)
    const facts = { limit: 'state', sinceMs: nowMs(), untilMs: options.holdUntilMs, use, everyMs } as const
    const waiter = new Waiter(facts, options, this.#onLeave)
    this.#waiting.add(waiter)
    if (use) use.waiting++
    onWait()
    return waiter.promise
  }

  /**
   * Ends the waits whose time is up, and lets logins enter if the pause is over.
   * @param enter takes a slot of the gate for a client's address
   * @returns whether further calls are needed
   */
  tick(enter: (address: string | undefined) => Slot | undefined): boolean {
    if (this.#waiting.size === 0) return false
    const nowMs = this.#parts.nowMs()
    for (const waiter of this.#waiting) {
      if (nowMs < waiter.untilMs) waiter.reassure(nowMs)
      else waiter.refuse('timed-out', this.#timedOut(waiter, nowMs))
    }
    if (this.#heldSinceMs === undefined) this.#admit(enter, nowMs)
    return this.#waiting.size > 0
  }

  endWaits(outcome: WaitOutcome, error: MuxError): void {
    for (const waiter of this.#waiting) waiter.refuse(outcome, error)
  }

  #admit(enter: (address: string | undefined) => Slot | undefined, nowMs: number): void {
    // A network at its share must not stop the others. `PARTS` networks at their shares take all slots: nothing is left to try then.
    const blocked = new Set<string | undefined>()
    for (const waiter of this.#waiting) {
      const network = waiter.use?.network
      if (blocked.has(network)) continue
      const slot = enter(waiter.address)
      if (!slot) {
        if (blocked.add(network).size > PARTS) return
        continue
      }
      slot.heldMs = nowMs - waiter.sinceMs
      waiter.admit(slot)
    }
  }

  readonly #onLeave = (waiter: Waiter, outcome: WaitOutcome): void => {
    this.#waiting.delete(waiter)
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
