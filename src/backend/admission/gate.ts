/**
 * The gate of one back end: counts its sessions and logins, and admits waiting logins in order as its limits allow.
 * Over 250 lines: all limits are checked against the same private counters in one place.
 */
import type { BackendSettings } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import { LimitNotes } from './limit-notes.ts'
import { Pace, type PaceLimits } from './pace.ts'
import { AddressShares, shareOf, type AddressUse } from './address-share.ts'
import { Slot, type SlotKeeper } from './slot.ts'
import { DISPLACED, isFirstOfKnown, rankOf, RESUMING, SlotQueue, Waiter, youngestUnknown } from './queue.ts'
import type { LimitName, WaitOptions, WaitOutcome } from './wait.ts'
import type { GateFacts, GateParts, GateUse, LeasedLimits } from './gate-parts.ts'

/** A wait is shortened at random by up to this share. Logins that arrive together then time out, and retry, at different times. */
const WAIT_JITTER = 0.25

export class Gate implements SlotKeeper {
  readonly #name: string
  readonly #parts: GateParts
  readonly #queue = new SlotQueue()
  readonly #pace: Pace
  readonly #notes: LimitNotes
  #settings: BackendSettings
  /** logins and sessions together */
  #inside = 0
  #logins = 0
  /** logins that wait for their client: the back end has no work for them */
  #paused = 0
  readonly #shares = new AddressShares<Waiter>()
  /** undefined if the limits are not leased */
  #leased: LeasedLimits | undefined

  constructor(settings: BackendSettings, parts: GateParts) {
    this.#name = settings.name
    this.#settings = settings
    this.#parts = parts
    this.#notes = new LimitNotes(settings.name, parts.log, parts.nowMs)
    this.#pace = new Pace(parts.nowMs())
    this.#leased = parts.onShort && { sessions: 0, logins: 0 }
  }

  get use(): GateUse {
    return { sessions: this.#inside, logins: this.#logins, waiting: this.#queue.ahead(rankOf(1)) }
  }

  /** From now on no more than this is admitted. What is over it stays. */
  lease(limits: LeasedLimits): void {
    this.#leased = limits
    if (this.#queue.size > 0) this.#admit()
  }

  /** The gate holds no login, session or wait, and may be dropped. */
  get isEmpty(): boolean {
    return this.#inside === 0 && this.#queue.size === 0
  }

  /** @param address the client's @returns undefined if the login must wait */
  enter(attempt: number, address?: string, isKnown = false): Slot | undefined {
    if (this.#queue.ahead(rankOf(attempt, isKnown)) > 0 || this.#findObstacle() !== undefined) return undefined
    return this.#isOverShare(this.#shares.get(address)) ? undefined : this.#letIn(address)
  }

  /** @throws MuxError `backend-busy`, `backend-down`, `shutting-down`, or the reason of the signal */
  async wait(attempt: number, options: WaitOptions): Promise<Slot> {
    const { address, isKnown = false } = options
    const rank = rankOf(attempt, isKnown)
    const inFront = this.#queue.ahead(rank) > 0 ? this.#queue.first : undefined
    const isOver = this.#isOverShare(this.#shares.get(address))
    const limit = this.#findObstacle() ?? inFront?.limit ?? (isOver ? 'per_address' : undefined)
    if (limit === undefined) return this.#letIn(address)
    const sinceMs = this.#parts.nowMs()
    const { queue, waitMs, leastForAddress } = this.#settings.limits
    this.#notes.reached(limit, this.#queue.size)
    if (options.signal.aborted) throw options.signal.reason
    const before = this.#shares.get(address)
    const full = before && before.waiting >= shareOf(queue, leastForAddress) ? before : undefined
    const isQueueFull = this.#queue.beside(rank) >= queue
    if ((isQueueFull || full) && !(isFirstOfKnown(rank) && this.#displace(full)))
      throw isQueueFull
        ? this.#queueFull(limit, `${limit} of ${this.#name} is reached, and ${queue} logins wait already`)
        : this.#queueFull('per_address', `${full?.waiting} logins of ${full?.network} wait for ${this.#name} already`)
    const use = this.#shares.open(address)
    const longestMs = waitMs * (1 - WAIT_JITTER * this.#parts.random())
    const untilMs = Math.min(options.untilMs, sinceMs + longestMs)
    const waiter = new Waiter({ limit, sinceMs, untilMs, use }, options, this.#onLeave)
    this.#queue.join(rank, waiter)
    this.#parts.onWait()
    this.#parts.onShort?.()
    if (use) use.waiting++
    if (use && this.#isOverShare(use) && !(isKnown && this.#parkUnknown(use)))
      (isKnown ? use.parkedKnown : use.parked).add(waiter)
    else this.#makeReady(waiter)
    return waiter.promise
  }

  pause(): void {
    this.#logins--
    this.#paused++
    if (this.#queue.size > 0) this.#admit()
  }

  async resume(slot: Slot, options: WaitOptions): Promise<Slot> {
    if (this.#queue.ahead(RESUMING) === 0 && !this.#hasManyLogins()) return this.#goOn(slot)
    if (options.signal.aborted) throw options.signal.reason
    const facts = { sinceMs: this.#parts.nowMs(), untilMs: options.untilMs, use: undefined, paused: slot }
    const waiter = new Waiter({ limit: 'logins', ...facts }, options, this.#onLeave)
    this.#queue.join(RESUMING, waiter)
    this.#parts.onWait()
    this.#parts.onShort?.()
    this.#queue.makeReady(waiter)
    return waiter.promise
  }

  /** Ends the waits whose time is up, and admits logins as the limits allow. @returns whether further calls are needed */
  tick(): boolean {
    const nowMs = this.#parts.nowMs()
    for (const waiter of this.#queue) {
      if (nowMs < waiter.untilMs) waiter.reassure(nowMs)
      else waiter.refuse('timed-out', this.#busy(waiter, nowMs))
    }
    this.#admit()
    this.#endSlowStart(nowMs)
    return this.#queue.size > 0 || this.#pace.isSlow
  }

  /** Ends the waits of these logins. */
  endWaits(outcome: WaitOutcome, error: MuxError, isMeant: (waiter: Waiter) => boolean = () => true): void {
    for (const waiter of this.#queue) if (isMeant(waiter)) waiter.refuse(outcome, error)
  }

  /** Begins one slow start per outage. @returns whether a slow start has begun; `tick` ends it */
  startSlowly(lostForMs: number): boolean {
    const { slowStartMs } = this.#settings
    if (slowStartMs === 0 || !this.#pace.startSlowly(this.#parts.nowMs(), lostForMs)) return false
    // Logins that began during the outage still run. They come on top of the logins that are admitted from now on.
    const fields = { backend: this.#name, ms: slowStartMs, ...this.describe().slowStart, underWay: this.#logins }
    this.#parts.log.info(fields, 'slow start')
    return true
  }

  configure(settings: BackendSettings): void {
    this.#settings = settings
    for (const use of this.#shares.values()) this.#unpark(use)
    this.#admit()
  }

  describe(): GateFacts {
    const { limits } = this.#settings
    const pace = this.#pace.isSlow ? this.#paceLimits(this.#parts.nowMs()) : undefined
    return {
      backend: this.#name,
      sessions: this.#inside - this.#logins - this.#paused,
      logins: this.#logins,
      waiting: this.#queue.size,
      limits,
      slowStart: pace ? { logins: pace.logins, loginsPerSecond: Math.round(pace.perSecond * 10) / 10 } : undefined,
    }
  }

  close(): void {
    this.endWaits('shutting-down', new MuxError('shutting-down', 'shutting down'))
    this.#pace.endSlowStart()
  }

  /** @returns the limit that is reached. The clock is read only if a rate is set or a slow start is in progress. */
  #findObstacle(): LimitName | undefined {
    const { sessions, loginsPerSecond } = this.#settings.limits
    const leased = this.#leased
    if (sessions !== undefined && this.#inside >= (leased ? (leased.sessions ?? 0) : sessions)) return 'sessions'
    if (this.#logins >= this.#mostLogins()) return 'logins'
    if (loginsPerSecond === undefined && !this.#pace.isSlow) return undefined
    const nowMs = this.#parts.nowMs()
    const pace = this.#paceLimits(nowMs)
    if (!pace || (this.#logins < pace.logins && this.#pace.allows(pace.perSecond, nowMs))) return undefined
    return this.#pace.isSlow ? 'slow_start' : 'logins_per_second'
  }

  #paceLimits(nowMs: number): PaceLimits | undefined {
    return this.#pace.limits(this.#settings, this.#mostLogins(), nowMs)
  }

  #mostLogins(): number {
    return this.#leased ? this.#leased.logins : this.#settings.limits.logins
  }

  #letIn(address: string | undefined): Slot {
    this.#inside++
    this.#logins++
    const use = this.#shares.open(address)
    if (use) use.logins++
    if (this.#pace.isSlow || this.#settings.limits.loginsPerSecond !== undefined) this.#pace.take()
    return new Slot(this, address)
  }

  /** Resumes a paused login. The rate and the number of sessions count it already. */
  #goOn(slot: Slot): Slot {
    if (slot.holds !== 'paused') return slot // released in the meantime
    slot.holds = 'login'
    this.#paused--
    this.#logins++
    return slot
  }

  #hasManyLogins(): boolean {
    const logins = this.#mostLogins()
    return this.#logins >= Math.min(logins, this.#paceLimits(this.#parts.nowMs())?.logins ?? logins)
  }

  #admit(): void {
    for (let waiter = this.#queue.first; waiter; waiter = this.#queue.first) {
      if (waiter.paused ? this.#hasManyLogins() : this.#findObstacle() !== undefined) return
      waiter.admit(waiter.paused ? this.#goOn(waiter.paused) : this.#letIn(waiter.address))
    }
  }

  #isOverShare(use: AddressUse<Waiter> | undefined): boolean {
    const { logins, leastForAddress } = this.#settings.limits
    return use !== undefined && use.logins >= shareOf(logins, leastForAddress)
  }

  /** A ready login counts for its network: its ready logins and its logins under way together stay within its share. */
  #makeReady(waiter: Waiter): void {
    if (waiter.use) waiter.use.logins++
    this.#queue.makeReady(waiter)
  }

  /** Ends the wait of a user that is not known, for one that is. @param use of this network; undefined: of any @returns whether there was one */
  #displace(use: AddressUse<Waiter> | undefined): boolean {
    const youngest = youngestUnknown(this.#queue.unknown, use)
    youngest?.refuse('queue-full', new MuxError('backend-busy', DISPLACED))
    return youngest !== undefined
  }

  /** Takes the right to be admitted from a user of this network that is not known, for one that is. @returns whether there was one */
  #parkUnknown(use: AddressUse<Waiter>): boolean {
    const youngest = youngestUnknown(this.#queue.readyUnknown, use)
    if (!youngest) return false
    this.#queue.park(youngest)
    use.logins--
    use.parked.add(youngest)
    return true
  }

  #unpark(use: AddressUse<Waiter>): void {
    for (const parked of [use.parkedKnown, use.parked])
      for (const waiter of parked) {
        if (this.#isOverShare(use)) return
        parked.delete(waiter)
        this.#makeReady(waiter)
      }
    this.#shares.closeIfEmpty(use)
  }

  giveBack(what: 'login' | 'paused' | 'slot', { address }: Slot): void {
    if (what === 'slot') this.#inside--
    else if (what === 'login') this.#logins--
    else this.#paused--
    const use = what === 'slot' ? undefined : this.#shares.get(address)
    if (use) {
      use.logins--
      this.#unpark(use)
    }
    if (this.#queue.size > 0) this.#admit()
  }

  readonly #onLeave = (waiter: Waiter, outcome: WaitOutcome): void => {
    const wasReady = this.#queue.remove(waiter)
    const { use } = waiter
    if (use) {
      use.waiting--
      use.parkedKnown.delete(waiter)
      use.parked.delete(waiter)
      if (wasReady) use.logins--
      this.#unpark(use)
    }
    this.#parts.loginWaited(this.#name, waiter.limit, outcome, this.#parts.nowMs() - waiter.sinceMs)
  }

  #queueFull(limit: LimitName, message: string): MuxError {
    this.#parts.loginWaited(this.#name, limit, 'queue-full', 0)
    return new MuxError('backend-busy', message)
  }

  #busy({ limit, sinceMs }: Waiter, nowMs: number): MuxError {
    const waited = Math.round(nowMs - sinceMs)
    return new MuxError(
      'backend-busy',
      `${limit} of ${this.#name} was reached for all of the ${waited} ms that it waited`,
    )
  }

  /** A slow start lasts as long as logins wait. Otherwise all of them would be admitted at once. */
  #endSlowStart(nowMs: number): void {
    const ms = this.#pace.slowForMs(nowMs)
    if (ms === undefined || ms < this.#settings.slowStartMs || this.#queue.size > 0) return
    this.#pace.endSlowStart()
    this.#parts.log.info({ backend: this.#name, ms: Math.round(ms) }, 'slow start over')
  }
}
