/** The gate of one back end: counts who is in, and lets in whom its limits allow, in order. */
import type { BackendLimits, BackendSettings, ProtocolName } from '../../config/settings.ts'
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
  /** what there is instead of the limits for now; undefined where the back end has not just come back */
  slowStart: { logins: number; loginsPerSecond: number } | undefined
}

export type GateParts = {
  log: Log
  loginWaited: (backend: string, limit: LimitName, outcome: WaitOutcome, ms: number) => void
  nowMs: () => number
  /** from 0 to 1 */
  random: () => number
  /** called where a wait begins, during which `tick` is to be called */
  onWait: () => void
}

/** Who came in one moment is not sent away in one moment, or would be back in one: a wait ends this much sooner at most. */
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
  /** logins that wait for their client, and are no work for the back end meanwhile */
  #paused = 0
  readonly #shares = new AddressShares<Waiter>()
  /** while there is a slow start */
  #slowSinceMs: number | undefined
  /** when the last one began */
  #slowStartedMs = -Infinity

  constructor(settings: BackendSettings, parts: GateParts) {
    this.#name = settings.name
    this.#settings = settings
    this.#parts = parts
    this.#notes = new LimitNotes(settings.name, parts.log, parts.nowMs)
    this.#bucket = createBucket(parts.nowMs())
  }

  /** Nothing would be lost with it. */
  get isEmpty(): boolean {
    return this.#inside === 0 && this.#queue.size === 0
  }

  /** A slot, where there is one at once. @param address the client's */
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

  /** Ends the waits that have been too long, lets in whom there is room for. @returns whether it is to be called again soon */
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

  /** Who waits to speak this protocol waits in vain. */
  lost(protocol: ProtocolName): void {
    for (const waiter of this.#queue) {
      if (waiter.protocol !== protocol) continue
      waiter.refuse(
        'backend-down',
        new MuxError('backend-down', `${this.#name} went down while the login waited for its turn`),
      )
    }
  }

  /**
   * Once for an outage: the second protocol may be found to be back long after the first, and slows nobody down then.
   * @returns whether there is a slow start now, which `tick` sees to the end of
   */
  startSlowly(lostForMs: number): boolean {
    const { slowStartMs } = this.#settings
    const nowMs = this.#parts.nowMs()
    if (slowStartMs === 0 || nowMs - lostForMs < this.#slowStartedMs) return false
    this.#slowSinceMs = this.#slowStartedMs = nowMs
    this.#bucket.restart(nowMs)
    // Those that were trying all the while are in already, and come on top of what is let in from here on.
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
    for (const waiter of this.#queue) waiter.refuse('shutting-down', new MuxError('shutting-down', 'shutting down'))
    this.#slowSinceMs = undefined
  }

  /** What keeps the next login out. Where no rate is set there is no clock to look at. */
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

  /** How many logins may be under way, and begin in a second; undefined where nothing says so. */
  #pace(nowMs: number): { logins: number; perSecond: number } | undefined {
    const { logins, loginsPerSecond } = this.#settings.limits
    if (this.#slowSinceMs === undefined) {
      return loginsPerSecond === undefined ? undefined : { logins, perSecond: loginsPerSecond }
    }
    // Without a rate of its own a back end is brought up to as many a second as it may have at once, a second each.
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

  /** Of a login that has begun: neither a rate nor the number of sessions counts it again. */
  #goOn(slot: Slot): Slot {
    if (slot.holds !== 'paused') return slot // given back meanwhile
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

  /** One that may be next counts for its network, so that no more of them are in the way of others than may be let in. */
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

  /** Not while somebody waits: all of them at once would be the wave that it is there to break. */
  #endSlowStart(sinceMs: number, nowMs: number): void {
    const ms = nowMs - sinceMs
    if (ms < this.#settings.slowStartMs || this.#queue.size > 0) return
    this.#slowSinceMs = undefined
    this.#parts.log.info({ backend: this.#name, ms: Math.round(ms) }, 'slow start over')
  }
}
