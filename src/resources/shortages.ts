/** What is missing on this machine (descriptors, memory, local ports): logged once a minute, and counted each time. It is never put down to a peer. */
import type { NoteShortage, ShortagePlace } from '../errors.ts'
import type { Log } from '../log.ts'

/** During a shortage each new connection meets it, and a line for each of them would fill the disk as well. */
const SAY_EVERY_MS = 60_000

/** @param count is called for each shortage, logged or not */
export function createShortageNotes(
  log: Log,
  count: (place: ShortagePlace) => void,
  nowMs: () => number = () => performance.now(),
): NoteShortage {
  const said = new Map<ShortagePlace, { atMs: number; unsaid: number }>()
  return (place, detail) => {
    count(place)
    const last = said.get(place)
    if (last && nowMs() - last.atMs < SAY_EVERY_MS) {
      last.unsaid++
      return
    }
    said.set(place, { atMs: nowMs(), unsaid: 0 })
    log.error({ place, detail, ...(last && last.unsaid > 0 && { others: last.unsaid }) }, 'local shortage')
  }
}
