/** What the instances of a site share of the limits on clients: the interface of the store, and which limits are shared. */
import type { ClientLimitSettings, Rate } from '../config/settings.ts'

/**
 * The counts of sessions are shared. Those of connections are not: they are asked for before any login, and a flood of connections must
 * not be one of commands to the store that all routes come from.
 * @param limit its name, or a key of the ledger, which begins with it
 */
export function isSharedCount(limit: string): boolean {
  return limit.startsWith('sessions_')
}

/** @param limit its name. Whether it is one of all instances together */
export function isSharedLimit(limit: string): boolean {
  return isSharedCount(limit) || limit.endsWith('_rate')
}

/** Whether a listener has a limit that is shared: without one the store is not asked. */
export function isAnyShared(limits: readonly ClientLimitSettings[]): boolean {
  return limits.some((of) => {
    const counts = [of.sessionsPerUser, of.sessionsPerDomain, of.sessionsPerBackendUser]
    const rates = [of.userLoginRate, of.loginRate, of.connectionRate]
    return [...counts, ...rates].some((limit) => limit !== undefined)
  })
}

/** What the store knows of the instances. */
export type SiteView = {
  /** the ids of the instances that have a heartbeat */
  live: readonly string[]
  /** whether the store still has what this instance wrote at its `enter` */
  isKnown: boolean
}

/** A claim on the store. `own`: what this instance holds without it; undefined: as the store has it, because others are under way. */
export type SiteClaims = {
  counts: readonly { key: string; max: number; own: number | undefined }[]
  rates: readonly { key: string; rate: Rate }[]
}

/** `isCount`, `index`: the claim that is not fulfilled. `waitMs`: after this a rate allows one more. */
export type SiteRefusal = { isCount: boolean; index: number; waitMs: number }

/** Each of them: @throws Error; the command may take effect nevertheless */
export type SiteStore = {
  /** Which instances there are. */
  look(): Promise<SiteView>
  /** Tests that this instance may use the store, and leaves a sign in it. */
  enter(): Promise<void>
  /** Takes all of it, or none. `isTorn`: a part may be taken, because the keys are on several nodes. @param live ids whose counts are valid */
  take(claims: SiteClaims, live: readonly string[]): Promise<{ refusal: SiteRefusal | undefined; isTorn: boolean }>
  /** Writes what this instance holds. */
  put(counts: readonly (readonly [key: string, count: number])[]): Promise<void>
  /** Notes one more of what may happen so often. @returns how long to wait until the next one may */
  charge(key: string, rate: Rate): Promise<number>
}
