/** What is missing on this machine (descriptors, memory, local ports): logged once a minute, and counted each time. It is never attributed to a peer. */
import type { NoteShortage, ShortagePlace } from '../errors.ts'
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'

/**
 * One line a minute for each place: a shortage affects each new connection.
 * @param count is called for each shortage, logged or not
 */
export function createShortageNotes(
  log: Log,
  count: (place: ShortagePlace) => void,
  nowMs?: () => number,
): NoteShortage {
  const limit = createLogLimit<ShortagePlace>(nowMs)
  return (place, detail) => {
    count(place)
    const others = limit(place)
    if (others) log.error({ place, detail, ...others }, 'local shortage')
  }
}
