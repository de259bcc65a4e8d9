/** What the scale run finds out. Each part is measured by a command of its own, and kept until it is measured again. */
import type { LookupFigures } from './scale-instance.ts'

export type RedisFigures = {
  routes: number
  loadSeconds: number
  /** used_memory for a route: one with the back end alone, and one with all three fields */
  bytesPerRoute: number
  bytesPerFullRoute: number
  /** what the kernel gives Redis for a route */
  residentBytesPerRoute: number
}

/** A whole mailmux, after users have been looked up for logins. */
export type MemoryFigures = {
  cacheSize: number
  usersSeen: number
  freshKiB: number
  afterKiB: number
  /** routing alone, after a garbage collection: what one remembered user keeps in the heap */
  heapBytesPerUser: number
}

export type LookupRow = { title: string; figures: LookupFigures; redisCpuUs: number }

/** One instance under changes of routes, at one rate. */
export type ChangeRow = {
  /** as Redis was written to */
  perSecond: number
  changes: number
  /** Redis cut the connection because the instance fell behind: what is said of it is not of all changes then */
  cut: boolean
  /** until the last change was taken in */
  seconds: number
  cpuMs: number
  /** a lookup a millisecond, as far as there was time for it */
  lookups: LookupFigures
}

export type TrackingRow = { instances: number; redisCpuUsPerWrite: number; bytesPerChange: number }

export type LoginRow = {
  title: string
  perSecond: number
  cpuUs: number
  p50Us: number
  p99Us: number
  /** of the time to decide on a route, by mailmux's own metric: upper bounds of the histogram's buckets */
  lookupP50Ms: number
  lookupP99Ms: number
  bySource: Record<string, number>
}

export type CostFigures = { cpuUsPerTlsLogin: number; kiBPerTlsSession: number; freshKiB: number }

export type ScaleFigures = {
  redis: RedisFigures
  memory: MemoryFigures
  /** with a cache that holds them all */
  memoryOfAll: MemoryFigures
  lookups: LookupRow[]
  changes: ChangeRow[]
  tracking: TrackingRow[]
  logins: LoginRow[]
  costs: CostFigures
}

export type Measured = Partial<{
  [Part in keyof ScaleFigures]: { at: string; machine: string; figures: ScaleFigures[Part] }
}>
