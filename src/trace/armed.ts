/** One trace in force in this worker: its filter, its lines until they are collected, and the limits on them. */
import { createIpSet } from '../net/ip-set.ts'
import type { TraceFilter, TraceLine, TraceReport } from './line.ts'

/** More than a person reads; a client that sends thousands of commands a second must not slow down the others. */
export const MAX_LINES_PER_SECOND = 200
/** Lines between two reports, which come twice a second. They take 300 KiB at most, as a line has `MAX_TEXT_LENGTH`. */
export const MAX_HELD = 500
/** Characters of one line. */
export const MAX_TEXT_LENGTH = 400
/** A trace that is not asked for its lines has no reader any more: 20 reports are missing. */
export const ABANDONED_MS = 10_000

/** The part of a session by which it is found. */
export type Traced = {
  readonly id: string
  readonly connection: { readonly client: { readonly address: string } }
  readonly login: { readonly user: string | undefined } | undefined
}

export class ArmedTrace {
  readonly id: string
  readonly wantsUser: boolean
  readonly #filter: TraceFilter
  readonly #clients: { has(address: string): boolean } | undefined
  #untilMs = 0
  #lines: TraceLine[] = []
  #dropped = 0
  #secondMs = -Infinity
  #thisSecond = 0

  /** @throws RangeError if `client` is no address and no network */
  constructor(id: string, filter: TraceFilter) {
    this.id = id
    this.#filter = filter
    this.wantsUser = filter.user !== undefined
    this.#clients = filter.client === undefined ? undefined : createIpSet([filter.client])
  }

  matches({ id, connection, login }: Traced): boolean {
    const { user, session } = this.#filter
    if (user !== undefined && login?.user !== user) return false
    if (session !== undefined && session !== id) return false
    return this.#clients?.has(connection.client.address) ?? true
  }

  /** The session may match once its user is known. */
  mayMatch({ id, connection }: Traced): boolean {
    const { session } = this.#filter
    if (session !== undefined && session !== id) return false
    return this.#clients?.has(connection.client.address) ?? true
  }

  push(line: TraceLine, nowMs: number): void {
    if (nowMs - this.#secondMs >= 1000) {
      this.#secondMs = nowMs
      this.#thisSecond = 0
    }
    if (++this.#thisSecond > MAX_LINES_PER_SECOND || this.#lines.length >= MAX_HELD) this.#dropped++
    else this.#lines.push(line)
  }

  noteDropped(count: number): void {
    this.#dropped += count
  }

  /** It has a reader, for now. */
  extend(leftMs: number, nowMs: number): void {
    this.#untilMs = nowMs + Math.min(leftMs, ABANDONED_MS)
  }

  isOver(nowMs: number): boolean {
    return nowMs >= this.#untilMs
  }

  take(): TraceReport {
    const report = { lines: this.#lines, dropped: this.#dropped }
    this.#lines = []
    this.#dropped = 0
    return report
  }
}
