/** How long an ended worker waits until it is started again. Pure. */

/** The first of several ends in a row costs this, each further one twice as much: the machine and the log must bear a crash at every start. */
const FIRST_MS = 100
/** A worker that has lived so long has served clients: it is replaced at once, so that one who can crash workers does not stop mail for longer than a start takes. */
const GOOD_LIFE_MS = 1000
/** One that has served, but not for so long: the pause stays within what a client waits for a greeting. */
const MOST_AFTER_SERVING_MS = 1000
/** One that has not come to serve. With a start of half a second, a loop costs a tenth of a core and a line each 5 s. */
const MOST_MS = 5000

export type EndedLife = {
  livedMs: number
  /** it has accepted connections */
  served: boolean
}

/** @returns for each end of a worker the time to wait: none at first and after a good life, then twice as long each time, within bounds */
export function createBackOff(): (life: EndedLife) => number {
  let ends = 0
  return ({ livedMs, served }) => {
    ends = served && livedMs >= GOOD_LIFE_MS ? 1 : ends + 1
    const waitMs = ends === 1 ? 0 : FIRST_MS * 2 ** (ends - 2)
    return Math.min(waitMs, served ? MOST_AFTER_SERVING_MS : MOST_MS)
  }
}
