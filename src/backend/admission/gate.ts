/**
 * The gate of one back end: counts its sessions and logins, and admits waiting logins in order as its limits allow.
 * Over 250 lines: all limits are checked against the same private counters in one place.
 */
import type { BackendLimits, BackendSettings } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { LimitNotes } from './limit-notes.ts'
import { createBucket, slowStartShare, type Bucket } from './slow-start.ts'
import { AddressShares, shareOf, type AddressUse } from './address-share.ts'
import { Slot, type SlotKeeper } from './slot.ts'
import { rankOf, RESUMING, Waiter, SlotQueue } from './queue.ts'
import type { LimitName, WaitOptions, WaitOutcome } from './wait.ts'

export type GateFacts = {
  backend: string
  sessions: number
  logins: number
  waiting: number
  limits: BackendLimits
  /** the limits during a slow start; undefined outside of one */
  slowStart: { logins: number; loginsPerSecond: number } | undefined
}

export type GateParts = {
  log: Log
  loginWaited: (backend: string, limit: LimitName, outcome: WaitOutcome, ms: number) => void
  nowMs: () => number
  /** from 0 to 1 */
  random: () => number
  /** called when a wait begins: from then on `tick` must be called */
  onWait: () => void
}

/** A wait is shortened at random by up to this share. Logins that arrive together then time out, and retry, at different times. */
const WAIT_JITTER = 0.25

export class Gate implements SlotKeeper {
  readonly #name: string
  readonly #parts: GateParts
  readonly #queue = new SlotQueue()
  readonly #bucket: Bucket
  readonly #notes: LimitNotes
  #settings: BackendSettings
  /** logins and sessions together */
  #inside = 0
  #logins = 0
  /** logins that wait for their client: the back end has no work for them */
  #paused = 0
  readonly #shares = new AddressShares<Waiter>()
  /** start of the slow start in progress */
  #slowSinceMs: number | undefined
  /** start of the last slow start */
  #slowStartedMs = -Infinity

  constructor(settings: BackendSettings, parts: GateParts) {
    this.#name = settings.name
    this.#settings = settings
    this.#parts = parts
    this.#notes = new LimitNotes(settings.name, parts.log, parts.nowMs)
    this.#bucket = createBucket(parts.nowMs())
  }

  /** The gate holds no login, session or wait, and may be dropped. */
  get isEmpty(): boolean {
    return this.#inside === 0 && this.#queue.size === 0
  }

  /** @param address the client's @returns undefined if the login must wait */
  enter(attempt: number, address?: string): Slot | undefined {
    if (this.#queue.ahead(rankOf(attempt)) > 0 || this.#findObstacle() !== undefined) return undefined
    return this.#isOverShare(this.#shares.get(address)) ? undefined : this.#letIn(address)
  }

  /** @throws MuxError `backend-busy`, `backend-down`, `shutting-down`, or the reason of the signal */
  async wait(attempt: number, options: WaitOptions): Promise<Slot> {
    const rank = rankOf(attempt)
    const { address } = options
    const inFront = this.#queue.ahead(rank) > 0 ? this.#queue.first : undefined
    const isOver = this.#isOverShare(this.#shares.get(address))
    const limit = this.#findObstacle() ?? inFront?.limit ?? (isOver ? 'per_address' : undefined)
    if (limit === undefined) return this.#letIn(address)
    const sinceMs = this.#parts.nowMs()
    const { queue, waitMs, leastForAddress } = this.#settings.limits
    this.#notes.reached(limit, this.#queue.size)
    if (options.signal.aborted) throw options.signal.reason
    if (this.#queue.beside(rank) >= queue)
      throw this.#queueFull(limit, `${limit} of ${this.#name} is reached, and ${queue} logins wait already`)
    const use = this.#shares.open(address)
    if (use && use.waiting >= shareOf(queue, leastForAddress))
      throw this.#queueFull('per_address', `${use.waiting} logins of ${use.network} wait for ${this.#name} already`)
    const longestMs = waitMs * (1 - WAIT_JITTER * this.#parts.random())
    const untilMs = Math.min(options.untilMs, sinceMs + longestMs)
    const waiter = new Waiter({ limit, sinceMs, untilMs, use }, options, this.#onLeave)
    this.#queue.join(rank, waiter)
    this.#parts.onWait()
    if (use) use.waiting++
    if (use && isOver) use.parked.add(waiter)
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
    if (this.#slowSinceMs !== undefined) this.#endSlowStart(this.#slowSinceMs, nowMs)
    return this.#queue.size > 0 || this.#slowSinceMs !== undefined
  }

  /** Ends the waits of these logins. */
  endWaits(outcome: WaitOutcome, error: MuxError, isMeant: (waiter: Waiter) => boolean = () => true): void {
    for (const waiter of this.#queue) if (isMeant(waiter)) waiter.refuse(outcome, error)
  }

  /**
   * Begins one slow start per outage. A check may find the second protocol up long after the first: no second slow start begins then.
   * @returns whether a slow start has begun; `tick` ends it
   */
  startSlowly(lostForMs: number): boolean {
    const { slowStartMs } = this.#settings
    const nowMs = this.#parts.nowMs()
    if (slowStartMs === 0 || nowMs - lostForMs < this.#slowStartedMs) return false
    this.#slowSinceMs = this.#slowStartedMs = nowMs
    this.#bucket.restart(nowMs)
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
    const pace = this.#pace(this.#parts.nowMs())
    const slow = this.#slowSinceMs !== undefined && pace !== undefined
    return {
      backend: this.#name,
      sessions: this.#inside - this.#logins - this.#paused,
      logins: this.#logins,
      waiting: this.#queue.size,
      limits,
      slowStart: slow ? { logins: pace.logins, loginsPerSecond: Math.round(pace.perSecond * 10) / 10 } : undefined,
    }
  }

  close(): void {
    this.endWaits('shutting-down', new MuxError('shutting-down', 'shutting down'))
    this.#slowSinceMs = undefined
  }

  /** @returns the limit that is reached. The clock is read only if a rate is set or a slow start is in progress. */
  #findObstacle(): LimitName | undefined {
    const { sessions, logins, loginsPerSecond } = this.#settings.limits
    if (sessions !== undefined && this.#inside >= sessions) return 'sessions'
    if (this.#logins >= logins) return 'logins'
    if (loginsPerSecond === undefined && this.#slowSinceMs === undefined) return undefined
    const nowMs = this.#parts.nowMs()
    const pace = this.#pace(nowMs)
    if (!pace || (this.#logins < pace.logins && this.#bucket.has(pace.perSecond, nowMs))) return undefined
    return this.#slowSinceMs === undefined ? 'logins_per_second' : 'slow_start'
  }

  /** Limits of the logins under way and of the logins per second; undefined without a rate and outside of a slow start. */
  #pace(nowMs: number): { logins: number; perSecond: number } | undefined {
    const { logins, loginsPerSecond } = this.#settings.limits
    if (this.#slowSinceMs === undefined) {
      return loginsPerSecond === undefined ? undefined : { logins, perSecond: loginsPerSecond }
    }
    // Without a configured rate the slow start ends at `logins` per second: each login is taken to last a second.
    const perSecond = loginsPerSecond ?? logins
    const share = slowStartShare(nowMs - this.#slowSinceMs, this.#settings.slowStartMs, perSecond)
    return { logins: Math.max(1, Math.floor(logins * share)), perSecond: perSecond * share }
  }

  #letIn(address: string | undefined): Slot {
    this.#inside++
    this.#logins++
    const use = this.#shares.open(address)
    if (use) use.logins++
    if (this.#slowSinceMs !== undefined || this.#settings.limits.loginsPerSecond !== undefined) this.#bucket.take()
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
    const { logins } = this.#settings.limits
    return this.#logins >= Math.min(logins, this.#pace(this.#parts.nowMs())?.logins ?? logins)
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

  #unpark(use: AddressUse<Waiter>): void {
    for (const waiter of use.parked) {
      if (this.#isOverShare(use)) return
      use.parked.delete(waiter)
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
  #endSlowStart(sinceMs: number, nowMs: number): void {
    const ms = nowMs - sinceMs
    if (ms < this.#settings.slowStartMs || this.#queue.size > 0) return
    this.#slowSinceMs = undefined
    this.#parts.log.info({ backend: this.#name, ms: Math.round(ms) }, 'slow start over')
  }
}
