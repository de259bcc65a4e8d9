/**
 * Routes that were read before a restart, or before changes could be missed, may have changed since. As soon as the store can be
 * asked, it is asked for all of them: otherwise an old route would stand in at the next outage.
 */

/** The first so many milliseconds are quick: an outage often comes in pieces, and the most recently used routes matter most. */
const QUICK_MS = 200
/** About 20,000 a second for that time; each piece takes the event loop for two or three milliseconds. */
const QUICK_AT_ONCE = 200
const QUICK_EVERY_MS = 10
/** Then two thousand a second: a hundred thousand within a minute, and hardly noticed by Redis or by logins. */
const AT_ONCE = 100
const EVERY_MS = 50
/** The store has not answered: the next outage, or a moment of one. */
const AGAIN_MS = 5000

export type Comparison = {
  /** The store can be asked, and tells of changes from now on. Begins from the start where a comparison is under way. */
  start: () => void
  stop: () => void
}

/**
 * @param begin decides what is to be compared
 * @param compare asks for so many, and says whether there are more; rejects where the store does not answer
 */
export function createComparison(
  begin: () => void,
  compare: (most: number) => Promise<boolean>,
  nowMs: () => number,
): Comparison {
  /** counts the starts; what an earlier one has asked for leads to nothing more */
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
