/** The gate of one back end: counts who is in, and lets in whom its limits allow, in order. */
import type { BackendLimits, BackendSettings, ProtocolName } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { Log } from '../log.ts'
import { createBucket, slowStartShare, type Bucket } from './pace.ts'
import { createTurn, type Turn } from './turn.ts'
import { Waiter, WaitingLine, type LimitName, type Patience, type WaitOutcome } from './waiting-line.ts'

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
}

/** Who came in one moment is not sent away in one moment, or would be back in one: a wait ends this much sooner at most. */
const WAIT_JITTER = 0.25
/** A limit that bites is worth a line, but not one for each login. */
const LOG_EVERY_MS = 60_000

export class Gate {
  readonly #name: string
  readonly #parts: GateParts
  readonly #line = new WaitingLine()
  readonly #bucket: Bucket
  readonly #bites = new Map<LimitName, { loggedMs: number; times: number }>()
  #settings: BackendSettings
  /** logins and sessions together */
  #inside = 0
  #logins = 0
  /** while there is a slow start */
  #slowSinceMs: number | undefined
  /** when the last one began */
  #slowStartedMs = -Infinity

  constructor(settings: BackendSettings, parts: GateParts) {
    this.#name = settings.name
    this.#settings = settings
    this.#parts = parts
    this.#bucket = createBucket(parts.nowMs())
  }

  /** Nothing would be lost with it. */
  get isEmpty(): boolean {
    return this.#inside === 0 && this.#line.size === 0
  }

  /** A turn, where there is one at once. */
  enter(attempt: number): Turn | undefined {
    return this.#line.ahead(attempt) > 0 || this.#findObstacle() !== undefined ? undefined : this.#letIn()
  }

  /** @throws MuxError `backend-busy`, `backend-down`, `shutting-down`, or the reason of the signal */
  async wait(attempt: number, patience: Patience): Promise<Turn> {
    const inFront = this.#line.ahead(attempt) > 0 ? this.#line.first : undefined
    const limit = this.#findObstacle() ?? inFront?.limit
    if (limit === undefined) return this.#letIn()
    const sinceMs = this.#parts.nowMs()
    const { queue, waitMs } = this.#settings.limits
    this.#bite(limit, sinceMs)
    if (patience.signal.aborted) throw patience.signal.reason
    if (this.#line.beside(attempt) >= queue) {
      this.#parts.loginWaited(this.#name, limit, 'queue-full', 0)
      throw new MuxError('backend-busy', `${limit} of ${this.#name} is reached, and ${queue} logins wait already`)
    }
    const longestMs = waitMs * (1 - WAIT_JITTER * this.#parts.random())
    const untilMs = Math.min(patience.untilMs, sinceMs + longestMs)
    const waiter = new Waiter({ limit, sinceMs, untilMs }, patience, this.#onLeave)
    this.#line.join(attempt, waiter)
    return waiter.promise
  }

  /** Ends the waits that have been too long, lets in whom there is room for. @returns whether it is to be called again soon */
  tick(): boolean {
    const nowMs = this.#parts.nowMs()
    for (const waiter of this.#line) {
      if (nowMs < waiter.untilMs) waiter.reassure(nowMs)
      else waiter.refuse('timed-out', this.#busy(waiter, nowMs))
    }
    this.#admit()
    if (this.#slowSinceMs !== undefined) this.#endSlowStart(this.#slowSinceMs, nowMs)
    return this.#line.size > 0 || this.#slowSinceMs !== undefined
  }

  /** Who waits to speak this protocol waits in vain. */
  lost(protocol: ProtocolName): void {
    for (const waiter of this.#line) {
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
    this.#admit()
  }

  describe(): GateFacts {
    const { limits } = this.#settings
    const pace = this.#pace(this.#parts.nowMs())
    const slow = this.#slowSinceMs !== undefined && pace !== undefined
    return {
      backend: this.#name,
      sessions: this.#inside - this.#logins,
      logins: this.#logins,
      waiting: this.#line.size,
      limits,
      slowStart: slow ? { logins: pace.logins, loginsPerSecond: Math.round(pace.perSecond * 10) / 10 } : undefined,
    }
  }

  close(): void {
    for (const waiter of this.#line) waiter.refuse('shutting-down', new MuxError('shutting-down', 'shutting down'))
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

  #letIn(): Turn {
    this.#inside++
    this.#logins++
    if (this.#slowSinceMs !== undefined || this.#settings.limits.loginsPerSecond !== undefined) this.#bucket.take()
    return createTurn(this.#onGiveBack)
  }

  #admit(): void {
    for (const waiter of this.#line) {
      if (this.#findObstacle() !== undefined) return
      waiter.admit(this.#letIn())
    }
  }

  readonly #onGiveBack = (what: 'login' | 'place'): void => {
    if (what === 'login') this.#logins--
    else this.#inside--
    if (this.#line.size > 0) this.#admit()
  }

  readonly #onLeave = (waiter: Waiter, outcome: WaitOutcome): void => {
    this.#line.remove(waiter)
    this.#parts.loginWaited(this.#name, waiter.limit, outcome, this.#parts.nowMs() - waiter.sinceMs)
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
    if (ms < this.#settings.slowStartMs || this.#line.size > 0) return
    this.#slowSinceMs = undefined
    this.#parts.log.info({ backend: this.#name, ms: Math.round(ms) }, 'slow start over')
  }

  /** No limit bites in silence; a slow start has lines of its own. */
  #bite(limit: LimitName, nowMs: number): void {
    if (limit === 'slow_start') return
    const bite = this.#bites.get(limit) ?? { loggedMs: -LOG_EVERY_MS, times: 0 }
    this.#bites.set(limit, bite)
    bite.times++
    if (nowMs - bite.loggedMs < LOG_EVERY_MS) return
    const waiting = this.#line.size
    this.#parts.log.warn({ backend: this.#name, limit, times: bite.times, waiting }, 'limit of a back end reached')
    bite.loggedMs = nowMs
    bite.times = 0
  }
}
