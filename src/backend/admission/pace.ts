/** The logins per second of one back end, and its lower limits in a slow start. Pure: the caller gives the time. */
import type { BackendSettings } from '../../config/settings.ts'
import { createBucket, slowStartShare, type Bucket } from './slow-start.ts'

type PacedSettings = Pick<BackendSettings, 'limits' | 'slowStartMs'>

export class Pace {
  readonly #bucket: Bucket
  /** start of the slow start in progress */
  #slowSinceMs: number | undefined
  /** start of the last slow start */
  #slowStartedMs = -Infinity

  constructor(nowMs: number) {
    this.#bucket = createBucket(nowMs)
  }

  get isSlow(): boolean {
    return this.#slowSinceMs !== undefined
  }

  /** One slow start begins per outage. A check may find the second protocol up long after the first. @returns whether one has begun */
  startSlowly(nowMs: number, lostForMs: number): boolean {
    if (nowMs - lostForMs < this.#slowStartedMs) return false
    this.#slowSinceMs = this.#slowStartedMs = nowMs
    this.#bucket.restart(nowMs)
    return true
  }

  /** @returns how long the slow start in progress has lasted; undefined outside of one */
  slowForMs(nowMs: number): number | undefined {
    return this.#slowSinceMs === undefined ? undefined : nowMs - this.#slowSinceMs
  }

  endSlowStart(): void {
    this.#slowSinceMs = undefined
  }

  /**
   * @param mostLogins the limit of the logins under way outside of a slow start
   * @returns the limits of the logins under way and of the logins per second; undefined without a rate and outside of a slow start
   */
  limits({ limits, slowStartMs }: PacedSettings, mostLogins: number, nowMs: number): PaceLimits | undefined {
    const { logins, loginsPerSecond } = limits
    const slowMs = this.slowForMs(nowMs)
    if (slowMs === undefined)
      return loginsPerSecond === undefined ? undefined : { logins: mostLogins, perSecond: loginsPerSecond }
    // Without a configured rate the slow start ends at `logins` per second: each login is taken to last a second.
    const perSecond = loginsPerSecond ?? logins
    const share = slowStartShare(slowMs, slowStartMs, perSecond)
    return { logins: Math.max(1, Math.floor(logins * share)), perSecond: perSecond * share }
  }

  /** Whether the rate allows a login now. */
  allows(perSecond: number, nowMs: number): boolean {
    return this.#bucket.has(perSecond, nowMs)
  }

  /** Counts a login. */
  take(): void {
    this.#bucket.take()
  }
}

export type PaceLimits = { logins: number; perSecond: number }
