/** The store of leases as Redis has it, in memory, on a clock that a test moves. */
import type { LeaseKey } from '../../../src/leases/lessor.ts'
import { LEASE_MS, type LeaseGrant, type LeaseRequest, type LeaseStore } from '../../../src/leases/site-leases.ts'

const SETTLE_MS = 2500

type Row = { untilMs: number; held: number; used: number; need: number }

export class MemoryLeases {
  nowMs = 1_000_000
  readonly #hashes = new Map<LeaseKey, Map<string, Row>>()
  #settlesMs = 0

  /** All data is lost. */
  lose(): void {
    this.#hashes.clear()
    this.#settlesMs = 0
  }

  storeOf(id: string): LeaseStore {
    return {
      renew: (key, request) => Promise.resolve(this.renew(id, key, request)),
      leave: (keys) => {
        for (const key of keys) this.#hashes.get(key)?.delete(id)
        return Promise.resolve()
      },
    }
  }

  renew(id: string, key: LeaseKey, { limit, held, want, used, need, again }: LeaseRequest): LeaseGrant {
    const rows = this.#hashes.get(key) ?? new Map<string, Row>()
    this.#hashes.set(key, rows)
    if (rows.size === 0 && (held > 0 || again)) this.#settlesMs = this.nowMs + SETTLE_MS
    for (const [name, { untilMs }] of rows) if (untilMs <= this.nowMs) rows.delete(name)
    rows.delete(id)
    const others = [...rows].map(([name, row]) => ({ id: name, used: row.used, need: row.need }))
    const taken = [...rows.values()].reduce((sum, row) => sum + row.held, 0)
    const more = this.nowMs < this.#settlesMs ? 0 : Math.max(0, Math.min(want - held, limit - taken - held))
    const granted = held + more
    rows.set(id, { untilMs: this.nowMs + LEASE_MS, held: granted, used, need })
    return { granted, nowMs: this.nowMs, others }
  }
}
