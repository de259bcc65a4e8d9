/**
 * Routes that other workers of the instance remember. A worker without a route for a user asks for them while the directory is
 * unavailable. The result serves one login and is not stored: each worker remembers only what it has read itself.
 */
import { toEpochMs } from '../../clock.ts'
import { MuxError } from '../../errors.ts'
import type { Directory, DirectoryAnswer, StandIn } from '../directory.ts'
import { type RouteStep, type Trace } from '../trace.ts'
import { describeEntry, hasHoldRunOut } from '../entry.ts'

/** The other workers of this instance, as a directory sees them. */
export type OtherWorkers = {
  /** the id of the directory's marker that any worker has seen last; undefined if none has seen one */
  marker: string | undefined
  /** Reports another marker that the directory has shown this worker. */
  markerSeen(id: string): void
  /** @param hear called for each marker that another worker has seen */
  onMarker(hear: (id: string) => void): void
  /** What other workers remember of a user, as far as they answer in time. @throws Error if none answers in time */
  standIns: (user: string) => Promise<StandIn[]>
}

/** Bound of concurrent questions. An answer takes a millisecond, so that more than this means a hung supervisor. */
const MAX_UNDER_WAY = 100
/** Workers receive a change and a question at different times. A route read this shortly after a change counts as older than it. */
const SLACK_MS = 500

/**
 * @param lookup of this worker
 * @param ask asks the other workers
 * @param own what this worker remembers of a user
 */
export function shareStandIns(
  lookup: Directory['lookup'],
  ask: OtherWorkers['standIns'],
  own: (user: string) => StandIn | undefined,
  maxStaleMs: () => number,
): Directory['lookup'] {
  const underWay = new Map<string, Promise<StandIn[]>>()

  function askOnce(user: string): Promise<StandIn[]> {
    const joined = underWay.get(user)
    if (joined) return joined
    if (underWay.size >= MAX_UNDER_WAY) return Promise.reject(new Error('too many questions are under way'))
    const asked = ask(user).finally(() => underWay.delete(user))
    underWay.set(user, asked)
    return asked
  }

  async function recall(user: string, trace: Trace | undefined): Promise<DirectoryAnswer | undefined> {
    const note = (step: Omit<RouteStep, 'asked' | 'key'>): void => trace?.({ asked: 'workers', key: user, ...step })
    let told: StandIn[]
    try {
      told = await askOnce(user)
    } catch (error) {
      note({ outcome: 'unavailable', detail: error instanceof Error ? error.message : String(error) })
      return undefined
    }
    const mine = own(user) // read last: a change may have arrived meanwhile
    const all = mine ? [...told, mine] : told
    const newest = newestOf(all, maxStaleMs())
    if (!newest) {
      note({ outcome: 'nothing' })
      return undefined
    }
    const { entry, ageMs, source } = newest
    const detail = describeEntry(entry)
    if (all.some((one) => 'goneMs' in one && one.goneMs <= ageMs + SLACK_MS)) {
      note({ outcome: 'outdated', detail: `${detail} (changed or removed since)`, ageMs })
      return undefined
    }
    if (hasHoldRunOut(entry, ageMs, toEpochMs(performance.now()))) {
      note({ outcome: 'outdated', detail: `${detail} (the hold has run out since)`, ageMs })
      return undefined
    }
    note({ outcome: 'found', detail: `${detail} (stands in)`, ageMs, leftMs: maxStaleMs() - ageMs })
    return { entry, source }
  }

  return async (user, trace, question) => {
    try {
      return await lookup(user, trace, question)
    } catch (error) {
      const isAway = error instanceof MuxError && error.code === 'directory-unavailable'
      const kept = isAway ? await recall(user, trace) : undefined
      if (!kept) throw error
      return kept
    }
  }
}

type Remembered = Extract<StandIn, { entry: unknown }>

function newestOf(all: readonly StandIn[], maxStaleMs: number): Remembered | undefined {
  let newest: Remembered | undefined
  for (const one of all) {
    if ('goneMs' in one || one.ageMs >= maxStaleMs) continue
    if (!newest || one.ageMs < newest.ageMs) newest = one
  }
  return newest
}
