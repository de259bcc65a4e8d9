/** Log lines for the limits of one back end: one a minute for each limit that makes logins wait. */
import type { Log } from '../../log.ts'
import { createLogLimit, type LogLimit } from '../../log-limit.ts'
import type { LimitName } from './wait.ts'

export class LimitNotes {
  readonly #backend: string
  readonly #log: Log
  readonly #logLimit: LogLimit<LimitName>

  constructor(backend: string, log: Log, nowMs: () => number) {
    this.#backend = backend
    this.#log = log
    this.#logLimit = createLogLimit(nowMs)
  }

  /** A slow start has lines of its own. @param waiting logins in the queue */
  reached(limit: LimitName, waiting: number): void {
    if (limit === 'slow_start') return
    const note = this.#logLimit(limit)
    if (!note) return
    const times = 1 + (note.others ?? 0)
    this.#log.warn({ backend: this.#backend, limit, times, waiting }, 'limit of a back end reached')
  }
}
