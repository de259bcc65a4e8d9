/**
 * Routes that were read before a restart, or before messages could be lost, may have changed. As soon as the store answers, all of
 * them are read again: otherwise an old route would stand in during the next outage.
 */

/** The first phase is fast: the next outage may follow soon, and the most recently used routes matter most. */
const QUICK_MS = 200
/** About 20,000 routes a second in that phase; each batch takes the event loop for two or three milliseconds. */
const QUICK_AT_ONCE = 200
const QUICK_EVERY_MS = 10
/** Then 2,000 a second: 100,000 routes within a minute, with little load for Redis and for logins. */
const AT_ONCE = 100
const EVERY_MS = 50
/** Pause after the store has not answered. */
const AGAIN_MS = 5000

export type Comparison = {
  /** Must be called when the store answers and reports changes. Restarts a running comparison. */
  start: () => void
  stop: () => void
}

/**
 * @param begin collects the routes to compare
 * @param compare compares up to `most` routes, and resolves to whether more are left; rejects if the store does not answer
 */
export function createComparison(
  begin: () => void,
  compare: (most: number) => Promise<boolean>,
  nowMs: () => number,
): Comparison {
  /** counts the starts; a result of an earlier start does not continue */
  let run = 0
  let timer: NodeJS.Timeout | undefined

  function step(own: number, startedAtMs: number): void {
    const quick = nowMs() - startedAtMs < QUICK_MS
    const again = (ms: number): void => {
      if (own === run) timer = setTimeout(() => step(own, startedAtMs), ms).unref()
    }
    compare(quick ? QUICK_AT_ONCE : AT_ONCE).then(
      (more) => {
        if (more) again(quick ? QUICK_EVERY_MS : EVERY_MS)
      },
      () => again(AGAIN_MS),
    )
  }
  return {
    start() {
      clearTimeout(timer)
      begin()
      step(++run, nowMs())
    },
    stop() {
      run++
      clearTimeout(timer)
    },
  }
}
