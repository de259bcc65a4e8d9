/** Waits until no instance has a session of the user at the old back end, and none is being dialled. */
import { StepFailed, untilAnswered, type MoveClock } from './step.ts'

export type Members = {
  /** instances with a heartbeat */
  live: readonly string[]
  /**
   * Instances whose heartbeat has expired and that did not stop in order: crashed, or cut off from the directory. One that is cut off goes
   * on serving its users by the routes that it remembers.
   */
  lost: readonly string[]
}

/**
 * What an instance says of the user. `clear`: it knows the hold, and has no session of the user at the back end and none that is being
 * dialled. `unsure`: it does not see the hold (yet), and why.
 */
export type Told = 'clear' | { left: number } | { unsure: string }

/** What the instances said in one round of questions. */
export type FleetRound = Members & {
  /** by the names of the instances, without those that gave no answer */
  told: ReadonlyMap<string, Told>
}

export type Fleet = {
  /** @throws MuxError `directory-unavailable` */
  list(): Promise<Members>
  /**
   * Asks every instance. One that knows the hold by its token ends the sessions of the user at that back end.
   * @throws MuxError `directory-unavailable`
   */
  quiesce(user: string, backend: string, token: string): Promise<FleetRound>
}

export type FleetRules = {
  /**
   * Infinity: a lost instance never counts as dead, since it may be cut off and still serve. Otherwise, if the operator says that lost ones
   * have ended: the time of a heartbeat and of a login, since a login that was on its way at the last heartbeat may still reach the old
   * back end.
   */
  deadAfterMs: number
  /** no instance runs, as the operator says */
  isOffline: boolean
}

export type Waiting = {
  fleet: Fleet
  fleetRules: FleetRules
  clock: MoveClock
  user: string
  from: string
  token: string
  /** the instances before the hold */
  known: Members
  note: (detail: string) => void
}

/** Pause after a round in which each instance has answered, of which one was not clear. It doubles up to the longest pause. */
const BUSY_PAUSE_MS = 100
/** With many users at a time, instances get less than 100 questions a second. */
const LONGEST_PAUSE_MS = 1000
/** At most so many instances are named. */
const NAMED = 10

/** @returns what forbids a move before it has begun; undefined for nothing */
export function checkInstances({ live, lost }: Members, { deadAfterMs, isOffline }: FleetRules): string | undefined {
  if (lost.length > 0 && deadAfterMs === Infinity)
    return `${name(lost)} has no heartbeat any more and did not stop in order: it crashed, or is cut off from the directory and still serves`
  if (live.length === 0 && !isOffline)
    return 'no instance has a heartbeat in the directory, so that none can be asked to end its sessions'
  return undefined
}

/** Ends when each instance is clear or has stopped in order. */
export async function waitForInstances(waiting: Waiting, signal: AbortSignal): Promise<void> {
  const { fleet, fleetRules, clock, user, from, token, known, note } = waiting
  const startMs = clock.nowMs()
  const lastSeenMs = new Map([...known.live, ...known.lost].map((id) => [id, startMs]))
  let said = ''
  let pauseMs = BUSY_PAUSE_MS
  for (;;) {
    const { live, lost, told } = await untilAnswered(clock, signal, note, () => fleet.quiesce(user, from, token))
    const nowMs = clock.nowMs()
    for (const id of [...live, ...told.keys()]) lastSeenMs.set(id, nowMs)
    for (const id of lost) if (!lastSeenMs.has(id)) lastSeenMs.set(id, nowMs)
    // An instance that stops in order removes itself from both lists, after its last session.
    for (const id of lastSeenMs.keys())
      if (!live.includes(id) && !lost.includes(id) && !told.has(id)) lastSeenMs.delete(id)
    const isDead = (id: string, seenMs: number): boolean =>
      lost.includes(id) && nowMs - seenMs >= fleetRules.deadAfterMs
    const silent = [...lastSeenMs].flatMap(([id, seenMs]) => (told.has(id) || isDead(id, seenMs) ? [] : [id]))
    const words = [
      ...withSessions(told),
      ...withDoubts(told),
      ...(silent.length > 0 ? [`no answer from ${name(silent)}`] : []),
    ]
      .slice(0, NAMED)
      .join('; ')
    if (words === '') return
    if (words !== said) note(words)
    said = words
    await clock.sleep(pauseMs, signal)
    pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)
  }
}

/** Rounds after the final pass: a lookup of an instance may fail for a moment. More would keep the user on hold for longer. */
const LAST_ROUNDS = 5

/**
 * After the final pass. A session that an instance wrongly let through may have written behind that pass. An instance whose clock is wrong
 * takes the hold for expired, and says that it sees none. An instance that gives no answer has been clear under the hold, and lets no
 * login through without the directory.
 * @throws StepFailed
 */
export async function checkStillClear(waiting: Waiting, signal: AbortSignal): Promise<void> {
  const { fleet, clock, user, from, token, note } = waiting
  for (let round = 1; ; round++) {
    const { told } = await untilAnswered(clock, signal, note, () => fleet.quiesce(user, from, token))
    const [words] = withSessions(told)
    if (words !== undefined) throw new StepFailed(`during the hold, at ${from}: ${words}`)
    const doubts = withDoubts(told)
    if (doubts.length === 0) return
    if (round === LAST_ROUNDS)
      throw new StepFailed(`during the hold, at ${from}: ${doubts.slice(0, NAMED).join('; ')}`, { isTemporary: true })
    await clock.sleep(LONGEST_PAUSE_MS, signal)
  }
}

/** The instances that do not see the hold, and why. */
function withDoubts(told: ReadonlyMap<string, Told>): string[] {
  return [...told].flatMap(([id, one]) => (typeof one === 'object' && 'unsure' in one ? [`${id}: ${one.unsure}`] : []))
}

/** Nothing, or the instances with sessions in words. */
function withSessions(told: ReadonlyMap<string, Told>): string[] {
  const ids = [...told].flatMap(([id, one]) => (typeof one === 'object' && 'left' in one ? [id] : []))
  return ids.length > 0 ? [`sessions on ${name(ids)}`] : []
}

function name(ids: readonly string[]): string {
  const more = ids.length - NAMED
  return `${ids.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
