/**
 * This instance's part of the limits that the instances of a site share. The store is asked once for each login, and not at all while it
 * cannot be used: then this instance has the limit divided by the number of instances that it has seen last. What the store has is
 * written again after an outage, after a loss of its data, after each error, and every five minutes.
 * Over 250 lines: use of the store, outages, losses and the counts still to be written change the same private state.
 */
import type { Claims, Overrun } from './ledger.ts'
import type { LocalLedger } from './local-ledger.ts'
import { createSiteRates, type SiteRates } from './site-rates.ts'
import { isSharedCount, type SiteClaims, type SiteStore } from './site-store.ts'

/** A worker waits 500 ms for the ledger. The store answers within a millisecond or two. */
const ASK_MS = 300
/** Logins wait for the store, which is being connected to, in so many milliseconds from the start, each for `BEGIN_MS` at most. */
const FIRST_MS = 2000
const BEGIN_MS = 150
/** After a loss of the store's data every instance writes its counts again within this time. Each looks once a second. */
const SETTLE_MS = 2500
/** Use of the store that fails again so soon is not begun again for longer each time, up to `LONGEST_PAUSE_MS`. */
const RELAPSE_MS = 30_000
const LONGEST_PAUSE_MS = 30_000
/** A third of the time after which the store's fields are not valid any more. */
const SWEEP_MS = 300_000
/** An instance that has not looked for so long was perhaps frozen, and the others have removed its counts. A heartbeat is due each 5 s. */
const GAP_MS = 5000
/** A reload waits so long for the removal of the counts from the old store, which may be away. What stays there is not valid after its time. */
const LEAVE_MS = 1000
/** Keys that are written at a time. */
const PUT_AT_ONCE = 200
/** What has to be written again is not more than this; the rest is not valid any more in the store after its time. */
const MOST_DIRTY = 100_000

export type SiteCounts = SiteRates & {
  /** Whether the store is in use. */
  isShared: () => boolean
  /** The claims with what this instance may have of the shared ones now. */
  ownPart: <C extends Claims>(claims: C) => C
  /** Asks the store. undefined: all is taken. `away`: the store cannot be used. Never waits longer than `ASK_MS` */
  take: (claims: Claims) => Promise<Overrun | 'away' | undefined>
  /** What this instance holds of these keys has changed without the store. */
  changed: (keys: readonly string[]) => void
  /** To be called once a second, and more often at the start. Settles within a few commands of the store; never rejects. */
  tick: () => Promise<void>
  /** Waits for the first use of the store, for `BEGIN_MS` at most. undefined: there is nothing to wait for */
  begin: () => Promise<void> | undefined
  /** Removes what this instance holds from the store, which is not used any more. Takes `LEAVE_MS` at most; never rejects. */
  leave: () => Promise<void>
}

export type SiteCountsParts = {
  id: string
  store: SiteStore
  local: Pick<LocalLedger, 'count' | 'keys'>
  /** The store is in use now, or, with a cause, is not. Called at each change. */
  onChange: (cause: string | undefined) => void
  nowMs: () => number
}

export function createSiteCounts({ id, store, local, onChange, nowMs }: SiteCountsParts): SiteCounts {
  let isShared = false
  let live: readonly string[] = [id]
  const startedMs = nowMs()
  let returnMs = -Infinity
  let pauseMs = 0
  let sharedMs = -Infinity
  let lookedMs = -Infinity
  let hasEntered = false
  let hasLeft = false
  const begun = Promise.withResolvers<undefined>()
  /** takes of each key that are on their way */
  const pending = new Map<string, number>()
  const dirty = new Set<string>()
  let isFlushing = false
  let sweep: string[] = []
  let sweepMs = -Infinity

  function fail(error: unknown): void {
    const cause = error instanceof Error ? error.message : 'unknown'
    const now = nowMs()
    if (isShared) {
      pauseMs = now - sharedMs < RELAPSE_MS ? Math.min(LONGEST_PAUSE_MS, Math.max(1000, 2 * pauseMs)) : 0
      returnMs = now + pauseMs
    }
    const isNews = isShared || (!hasEntered && now - startedMs >= FIRST_MS)
    isShared = false
    if (!isNews) return
    hasEntered = true
    onChange(cause)
  }

  function changed(keys: readonly string[]): void {
    for (const key of keys) if (dirty.size < MOST_DIRTY && isSharedCount(key)) dirty.add(key)
    if (isShared && dirty.size > 0 && !isFlushing) {
      isFlushing = true
      setImmediate(() => void flush().finally(() => (isFlushing = false)))
    }
  }

  /** Writes what has changed. @throws nothing; what could not be written stays for later */
  async function flush(): Promise<void> {
    try {
      while (isShared && (await putSome()));
    } catch (error) {
      fail(error)
    }
  }

  /** @returns whether there was something to write. @throws Error */
  async function putSome(): Promise<boolean> {
    const some: string[] = []
    for (const key of dirty) {
      if (some.length >= PUT_AT_ONCE) break
      if (!pending.has(key)) some.push(key) // the take that is on its way writes it again
    }
    if (some.length === 0) return false
    for (const key of some) dirty.delete(key)
    try {
      await inTime(store.put(some.map((key) => [key, local.count(key)] as const)))
    } catch (error) {
      for (const key of some) dirty.add(key)
      throw error
    }
    return true
  }

  async function putAll(): Promise<void> {
    for (const key of local.keys()) if (isSharedCount(key)) dirty.add(key)
    while (await putSome());
  }

  /** The next reload may lead back to this store, where the instance would have sessions that have ended meanwhile. */
  async function removeAll(): Promise<void> {
    isShared = false
    hasLeft = true
    const keys = [...local.keys()].filter(isSharedCount)
    for (let at = 0; at < keys.length; at += PUT_AT_ONCE)
      await inTime(store.put(keys.slice(at, at + PUT_AT_ONCE).map((key) => [key, 0] as const)))
  }

  function startSweep(): void {
    sweep = [...local.keys()].filter(isSharedCount)
    sweepMs = nowMs()
  }

  function sweepSome(): void {
    const share = Math.ceil(sweep.length / Math.max(1, (sweepMs + SWEEP_MS - nowMs()) / 1000))
    changed(sweep.splice(0, share).filter((key) => local.count(key) > 0))
  }

  async function look(): Promise<void> {
    const view = await inTime(store.look())
    live = view.live
    if (!live.includes(id)) throw new Error('this instance has no heartbeat in Redis')
    const wasFrozen = nowMs() - lookedMs > GAP_MS
    lookedMs = nowMs()
    const isLost = hasEntered && !view.isKnown
    if (isShared && isLost) fail(new Error('Redis has lost the counts'))
    if (!view.isKnown) {
      await inTime(store.enter())
      await putAll()
      if (isLost) returnMs = Math.max(returnMs, nowMs() + SETTLE_MS)
    }
    if (isShared && wasFrozen) await putAll()
    if (isShared && nowMs() - sweepMs < SWEEP_MS) {
      sweepSome()
      return
    }
    if (nowMs() < returnMs) return
    await inTime(store.enter())
    if (isShared) {
      startSweep()
      return
    }
    await putAll()
    isShared = true
    sharedMs = nowMs()
    startSweep()
    if (hasEntered) onChange(undefined)
    hasEntered = true
    begun.resolve(undefined)
  }

  function ownPartOf(max: number): number {
    return Math.max(1, Math.floor(max / Math.max(1, live.length)))
  }

  function claimsFor({ counts, rates }: Claims): SiteClaims {
    return {
      counts: counts.map(({ key, max }) => ({
        key,
        max,
        // The ledger holds this one already.
        own: (pending.get(key) ?? 0) === 0 ? local.count(key) - 1 : undefined,
      })),
      rates,
    }
  }

  return {
    isShared: () => isShared,
    ownPart(claims) {
      if (isShared) return claims
      return {
        ...claims,
        counts: claims.counts.map((one) => (isSharedCount(one.limit) ? { ...one, max: ownPartOf(one.max) } : one)),
        rates: claims.rates.map((one) => ({ ...one, rate: { ...one.rate, count: ownPartOf(one.rate.count) } })),
      }
    },
    async take(claims) {
      const asked = claimsFor(claims)
      const keys = claims.counts.map(({ key }) => key)
      for (const key of keys) pending.set(key, (pending.get(key) ?? 0) + 1)
      let isExact = false
      try {
        const { refusal, isTorn } = await inTime(store.take(asked, live))
        isExact = !isTorn || !refusal
        return refusal && overrunOf(claims, refusal)
      } catch (error) {
        fail(error)
        return 'away'
      } finally {
        for (const key of keys) {
          const left = (pending.get(key) ?? 0) - 1
          if (left > 0) pending.set(key, left)
          else pending.delete(key)
        }
        if (!isExact || keys.some((key) => dirty.has(key))) changed(keys)
      }
    },
    changed,
    ...createSiteRates({
      charge: (key, rate) => inTime(store.charge(key, rate)),
      isShared: () => isShared,
      onError: fail,
      nowMs,
    }),
    tick: () => (hasLeft ? Promise.resolve() : look().catch(fail)),
    leave: () => inTime(removeAll(), LEAVE_MS).catch(() => undefined),
    begin() {
      if (isShared || hasEntered || nowMs() - startedMs >= FIRST_MS) return undefined
      return inTime(begun.promise, BEGIN_MS).catch(() => undefined)
    },
  }
}

function overrunOf({ counts, rates }: Claims, refusal: { isCount: boolean; index: number; waitMs: number }): Overrun {
  const count = refusal.isCount ? counts[refusal.index] : undefined
  if (count) return { limit: count.limit, max: count.max }
  const rate = rates[refusal.index]
  if (!rate) throw new Error('the store refuses what was not asked')
  return { limit: rate.limit, max: rate.rate.count, perMs: rate.rate.perMs, waitMs: refusal.waitMs }
}

/** @throws Error if the answer is late; the command may take effect nevertheless */
async function inTime<T>(answer: Promise<T>, ms = ASK_MS): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  // Timers come before what the sockets have received while this process was busy. That is read first.
  const timer = setTimeout(() => setImmediate(() => reject(new Error(`no answer within ${ms} ms`))), ms)
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
