/** The store of shared limits as Redis has it, in memory, on a clock that a test moves. */
import type { SiteClaims, SiteRefusal, SiteStore } from '../../../src/limits/site-store.ts'

const BEAT_MS = 15_000

type Field = { count: number; atMs: number }

export class MemorySite {
  nowMs = 1_000_000
  /** why each command fails; undefined: it works */
  fault: string | undefined
  /** a command is never answered */
  hangs = false
  readonly calls: string[] = []
  /** when each instance has written its heartbeat */
  readonly #beats = new Map<string, number>()
  readonly #hashes = new Map<string, Map<string, Field>>()
  readonly #arrivals = new Map<string, number>()
  readonly #signs = new Set<string>()

  /** All data is lost. */
  lose(): void {
    for (const table of [this.#beats, this.#hashes, this.#arrivals, this.#signs]) table.clear()
  }

  beat(...ids: string[]): void {
    for (const id of ids) this.#beats.set(id, this.nowMs)
  }

  /** What the instances hold, as it is written. */
  fields(key: string): Record<string, number> {
    return Object.fromEntries([...(this.#hashes.get(key) ?? [])].map(([id, { count }]) => [id, count]))
  }

  storeOf(id: string): SiteStore {
    const command = <T>(name: string, run: () => T): Promise<T> => {
      this.calls.push(name)
      if (this.hangs) return new Promise(() => undefined)
      return this.fault === undefined ? Promise.resolve(run()) : Promise.reject(new Error(this.fault))
    }
    return {
      look: () =>
        command('look', () => ({
          live: [...this.#beats].filter(([, ms]) => this.nowMs - ms < BEAT_MS).map(([name]) => name),
          isKnown: this.#signs.has(id),
        })),
      enter: () => command('enter', () => void this.#signs.add(id)),
      take: (claims, live) => command('take', () => ({ refusal: this.#take(id, claims, live), isTorn: false })),
      put: (counts) => command('put', () => counts.forEach(([key, count]) => this.#write(key, id, count))),
      charge: (key, { count, perMs }) =>
        command('charge', () => {
          const even = Math.max(this.nowMs, this.#arrivals.get(key) ?? 0) + perMs / count
          this.#arrivals.set(key, Math.min(even, this.nowMs + 2 * perMs))
          return Math.max(0, (this.#arrivals.get(key) ?? 0) - (perMs / count) * (count - 1) - this.nowMs)
        }),
    }
  }

  #take(id: string, { counts, rates }: SiteClaims, live: readonly string[]): SiteRefusal | undefined {
    const held = counts.map(({ key, own }) => {
      const fields = this.#hashes.get(key) ?? new Map<string, Field>()
      for (const [name, { atMs }] of fields)
        if (name !== id && !live.includes(name) && this.nowMs - atMs > BEAT_MS) fields.delete(name)
      const mine = own ?? fields.get(id)?.count ?? 0
      const others = [...fields].filter(([name]) => name !== id).reduce((sum, [, { count }]) => sum + count, 0)
      return { key, mine, others }
    })
    const full = held.findIndex(({ mine, others }, index) => mine + others + 1 > (counts[index]?.max ?? 0))
    if (full >= 0) return { isCount: true, index: full, waitMs: 0 }
    const evens = rates.map(({ key }) => Math.max(this.nowMs, this.#arrivals.get(key) ?? 0))
    const waits = rates.map(
      ({ rate }, n) => (evens[n] ?? 0) - (rate.perMs / rate.count) * (rate.count - 1) - this.nowMs,
    )
    const fast = waits.findIndex((ms) => ms > 0)
    if (fast >= 0) return { isCount: false, index: fast, waitMs: waits[fast] ?? 0 }
    for (const { key, mine } of held) this.#write(key, id, mine + 1)
    rates.forEach(({ key, rate }, n) => this.#arrivals.set(key, (evens[n] ?? 0) + rate.perMs / rate.count))
    return undefined
  }

  #write(key: string, id: string, count: number): void {
    const fields = this.#hashes.get(key) ?? new Map<string, Field>()
    this.#hashes.set(key, fields)
    if (count === 0) fields.delete(id)
    else fields.set(id, { count, atMs: this.nowMs })
  }
}
