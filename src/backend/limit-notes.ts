/** Log lines for the limits of one back end: a limit that is reached is worth a line, but not one for each login. */
import type { Log } from '../log.ts'
import type { LimitName } from './waiting-line.ts'

const LOG_EVERY_MS = 60_000

export class LimitNotes {
  readonly #backend: string
  readonly #log: Log
  readonly #known = new Map<LimitName, { loggedMs: number; times: number }>()

  constructor(backend: string, log: Log) {
    this.#backend = backend
    this.#log = log
  }

  /** A slow start has lines of its own. @param waiting logins in the queue */
  reached(limit: LimitName, waiting: number, nowMs: number): void {
    if (limit === 'slow_start') return
    const note = this.#known.get(limit) ?? { loggedMs: -LOG_EVERY_MS, times: 0 }
    this.#known.set(limit, note)
    note.times++
    if (nowMs - note.loggedMs < LOG_EVERY_MS) return
    this.#log.warn({ backend: this.#backend, limit, times: note.times, waiting }, 'limit of a back end reached')
    note.loggedMs = nowMs
    note.times = 0
  }
}
