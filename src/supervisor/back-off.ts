/** How long an ended worker waits until it is started again. Pure. */

/** A crash is made good at once; what crashes again and again is given time, for the machine's sake and for the log's. */
const FIRST_MS = 100
/** An operator who has mended the cause does not wait longer than this. */
const MOST_MS = 30_000
/** Who has lived so long does not end for what it found at its start: the count begins anew. */
const GOOD_LIFE_MS = 60_000

/** @returns for each end of a worker, told how long it has lived, the time to wait: none at first, then twice as long each time */
export function createBackOff(): (livedMs: number) => number {
  let ends = 0
  return (livedMs) => {
    ends = livedMs >= GOOD_LIFE_MS ? 1 : ends + 1
    return ends === 1 ? 0 : Math.min(MOST_MS, FIRST_MS * 2 ** (ends - 2))
  }
}
