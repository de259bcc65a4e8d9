/** The clock of a move that runs. */
import type { MoveClock } from './step.ts'

/** The longest delay of a timer in Node is 2^31 - 1 ms. */
const LONGEST_MS = 2 ** 31 - 1

export const systemClock: MoveClock = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve()
      const end = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, Math.min(ms, LONGEST_MS))
      signal?.addEventListener('abort', end)
    }),
}
