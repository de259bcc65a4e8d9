/** A clock for tests in memory: its time passes only while all that runs waits for it. */

export type VirtualClock = {
  nowMs: () => number
  /** Resolves after `ms`, and early when the signal is aborted. */
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>
  /** Lets time pass until `work` is settled. Fails if nothing waits for the clock any more. */
  drive: <T>(work: Promise<T>) => Promise<T>
  /** Lets `ms` pass. */
  pass: (ms: number) => Promise<void>
}

type Sleeper = { atMs: number; order: number; wake: () => void }

export function createVirtualClock(): VirtualClock {
  let nowMs = 0
  let order = 0
  const sleepers = new Set<Sleeper>()

  function sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const sleeper = { atMs: nowMs + ms, order: order++, wake }
      function wake(): void {
        sleepers.delete(sleeper)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      sleepers.add(sleeper)
      signal?.addEventListener('abort', wake)
    })
  }

  /** Whatever runs without the clock has run after this: a turn of the event loop comes after all promises. */
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  function wakeNext(): boolean {
    let first: Sleeper | undefined
    for (const one of sleepers) {
      if (!first || one.atMs < first.atMs || (one.atMs === first.atMs && one.order < first.order)) first = one
    }
    if (!first) return false
    nowMs = Math.max(nowMs, first.atMs)
    first.wake()
    return true
  }

  async function drive<T>(work: Promise<T>): Promise<T> {
    const state = { isSettled: false }
    const over = (): void => void (state.isSettled = true)
    work.then(over, over)
    for (;;) {
      await settle()
      if (state.isSettled) return work
      if (!wakeNext()) throw new Error(`nothing waits for the clock at ${nowMs} ms, and the work is not finished`)
    }
  }

  return { nowMs: () => nowMs, sleep, drive, pass: (ms) => drive(sleep(ms)) }
}
