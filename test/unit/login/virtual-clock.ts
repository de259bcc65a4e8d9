/** A clock for logins that passes only when the test says so. Timers run in order, and what they set off runs before the next one. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { LoginClock } from '../../../src/login/clock.ts'

export class VirtualClock implements LoginClock {
  ms = 0
  readonly #timers = new Set<{ atMs: number; run: () => void }>()

  nowMs(): number {
    return this.ms
  }

  after(ms: number, run: () => void): Disposable {
    const timer = { atMs: this.ms + Math.max(0, ms), run }
    this.#timers.add(timer)
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) }
  }

  /** timers that are set and have not run */
  get pending(): number {
    return this.#timers.size
  }

  /** Runs timers until `result` settles. @throws Error if it can never settle */
  async until<T>(result: Promise<T>): Promise<T> {
    const state = { isSettled: false }
    const settle = (): void => void (state.isSettled = true)
    result.then(settle, settle)
    for (;;) {
      // A few turns of the event loop: a stream hands on what it has read in one of its own.
      for (let turn = 0; turn < 5 && !state.isSettled; turn++) await nextTurn()
      if (state.isSettled) return result
      let next: { atMs: number; run: () => void } | undefined
      for (const timer of this.#timers) if (!next || timer.atMs < next.atMs) next = timer
      if (!next) throw new Error('no timer is left, and the result is still open')
      this.#timers.delete(next)
      this.ms = Math.max(this.ms, next.atMs)
      next.run()
    }
  }
}
