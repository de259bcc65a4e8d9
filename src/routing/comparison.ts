/**
 * What is known from before a restart may have changed in between, without a word to anybody here. So as soon as the store can be
 * asked, it is asked for all of it: or a route deleted meanwhile would stand in at the next outage.
 */

/** Two thousand a second: a hundred thousand within a minute, and hardly noticed by Redis or by logins. */
const AT_ONCE = 100
const EVERY_MS = 50
/** The store has not answered: the next outage, or a moment of one. */
const AGAIN_MS = 5000

export type Comparison = {
  /** The store can be asked. Only the first call counts. */
  start: () => void
  stop: () => void
}

/** @param compare asks for so many, and says whether there are more; rejects where the store does not answer */
export function createComparison(compare: (most: number) => Promise<boolean>): Comparison {
  let begun = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  function step(): void {
    compare(AT_ONCE).then(
      (more) => {
        if (more) again(EVERY_MS)
      },
      () => again(AGAIN_MS),
    )
  }
  function again(ms: number): void {
    if (!stopped) timer = setTimeout(step, ms).unref()
  }
  return {
    start() {
      if (!begun) step()
      begun = true
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
