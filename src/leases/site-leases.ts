/**
 * The part of each limit that this instance may use of what all instances of a site share. The instances agree through a store: each
 * writes once a second what it uses, reads what the others use, and computes the same fair division. The store adds to a part only what
 * no other instance holds, in one step, so that all parts together are never more than the limit.
 *
 * An instance that is gone loses its parts when they expire. An instance that cannot reach the store keeps its parts until then. After
 * that it uses the limit divided by the number of instances that it has seen last, or its part if that is more: mail goes on, and the
 * limit may be exceeded, by less than its double.
 */
import { distribute } from './distribute.ts'
import type { Caps, LeaseKey, Lessor } from './lessor.ts'

/** As the heartbeat of an instance. A part that is not renewed for so long is free for the others. */
export const LEASE_MS = 15_000
/** How long a start waits for the store before each instance counts for itself. Logins wait so long in their queues. */
const FIRST_MS = 2000
/** How long a part that cannot be divided stays with one instance: instances look once a second. */
const TURN_MS = 2000

export type LeaseRequest = {
  /** the configured limit */
  limit: number
  /** the most that this instance may use now */
  held: number
  /** what it should come to */
  want: number
  used: number
  need: number
  /** This instance has had a part before: the store must have parts, or it has lost its data. */
  again: boolean
}

export type LeaseGrant = {
  /** what this instance may use: at least `held`, at most `want` or `held` */
  granted: number
  /** the clock of the store */
  nowMs: number
  others: readonly { id: string; used: number; need: number }[]
}

export type LeaseStore = {
  /** @throws Error; the request may take effect nevertheless */
  renew(key: LeaseKey, request: LeaseRequest): Promise<LeaseGrant>
  /** Gives all parts back. */
  leave(keys: Iterable<LeaseKey>): Promise<void>
}

type Part = {
  cap: number
  /** the last request that was granted */
  renewedMs: number
  seen: LeaseGrant | undefined
  isAsking: boolean
}

export type SiteLeasesParts = {
  /** among the instances */
  id: string
  store: LeaseStore
  /** the limits of the configuration */
  limits: () => Caps
  total: Lessor['total']
  /** called for each result. @param cause why the store cannot be used; undefined: it can */
  onResult: (cause: string | undefined) => void
  /** a monotonic clock */
  nowMs: () => number
}

export type SiteLeases = {
  /** what this instance may use of each limit now */
  limits(): Map<LeaseKey, number>
  /** Renews all parts. */
  renew(): Promise<void>
  /** Whether every part is agreed on with the others. */
  isShared(): boolean
  leave(): Promise<void>
}

export function createSiteLeases({ id, store, limits, total, onResult, nowMs }: SiteLeasesParts): SiteLeases {
  const parts = new Map<LeaseKey, Part>()

  function partOf(key: LeaseKey): Part {
    const known = parts.get(key)
    if (known) return known
    const part = { cap: 0, renewedMs: nowMs() - LEASE_MS + FIRST_MS, seen: undefined, isAsking: false }
    parts.set(key, part)
    return part
  }

  const isLost = ({ renewedMs }: Part): boolean => nowMs() - renewedMs > LEASE_MS

  function target(key: LeaseKey, limit: number, { seen, renewedMs }: Part): number {
    if (!seen) return limit
    const all = [...seen.others, { id, ...total(key) }].sort((a, b) => (a.id < b.id ? -1 : 1))
    const turn = Math.floor((seen.nowMs + nowMs() - renewedMs) / TURN_MS)
    return distribute(limit, all, turn)[all.findIndex((one) => one.id === id)] ?? 0
  }

  async function renewOne(key: LeaseKey, limit: number): Promise<void> {
    const part = partOf(key)
    if (part.isAsking) return
    const want = target(key, limit, part)
    part.cap = Math.min(part.cap, want)
    const { used, need, held } = total(key)
    const request = { limit, held: Math.max(held, part.cap), want, used, need, again: part.seen !== undefined }
    const sentMs = nowMs()
    part.isAsking = true
    try {
      const seen = await store.renew(key, request)
      part.seen = seen
      part.renewedMs = sentMs
      part.cap = Math.min(want, seen.granted) // what is held is ours, even if it was not lent
      onResult(undefined)
    } catch (error) {
      onResult(error instanceof Error ? error.message : 'unknown')
    } finally {
      part.isAsking = false
    }
  }

  return {
    limits() {
      const now = new Map<LeaseKey, number>()
      for (const [key, limit] of limits()) {
        const part = partOf(key)
        const instances = 1 + (part.seen?.others.length ?? 0)
        const own = Math.max(1, Math.floor(limit / instances))
        now.set(key, Math.min(limit, isLost(part) ? Math.max(part.cap, own) : part.cap))
      }
      return now
    },
    async renew() {
      const configured = limits()
      for (const key of parts.keys()) if (!configured.has(key)) parts.delete(key)
      await Promise.all([...configured].map(([key, limit]) => renewOne(key, limit)))
    },
    isShared: () => ![...parts.values()].some(isLost),
    leave: () => store.leave(parts.keys()),
  }
}
