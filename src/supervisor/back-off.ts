/** The pause before an ended worker is started again. Pure. */

/** The pause after the second end in a row; it doubles with each further end, so that repeated crashes do not overload the machine and the log. */
const FIRST_MS = 100
/** A worker that has served for this long is replaced at once: an attacker who can crash workers then stops mail only for the time of a start. */
const GOOD_LIFE_MS = 1000
/** Longest pause after a worker that has served for a shorter time: clients wait at least this long for a greeting. */
const MOST_AFTER_SERVING_MS = 1000
/** Longest pause after a worker that has not served. With a start of half a second, such a loop uses a tenth of a core and logs a line each 5 s. */
const MOST_MS = 5000

export type EndedLife = {
  livedMs: number
  /** it has accepted connections */
  served: boolean
}

/** @returns a function that gives the pause after each end: none after the first end and after a long life, then doubled each time, within the bounds */
export function createBackOff(): (life: EndedLife) => number {
  let ends = 0
  return ({ livedMs, served }) => {
    ends = served && livedMs >= GOOD_LIFE_MS ? 1 : ends + 1
    const waitMs = ends === 1 ? 0 : FIRST_MS * 2 ** (ends - 2)
    return Math.min(waitMs, served ? MOST_AFTER_SERVING_MS : MOST_MS)
  }
}
