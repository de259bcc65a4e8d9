/** Waits until no instance has a session of the user at the old back end, and none is being dialled. */
import { StepFailed, untilAnswered, type MoveClock } from './step.ts'

/** What the instances said in one round of questions. */
export type FleetRound = {
  /** instances with a heartbeat */
  live: readonly string[]
  /** instance to whether it has no session of the user at the back end, and none that is being dialled; without those that gave no answer */
  isClear: ReadonlyMap<string, boolean>
}

export type Fleet = {
  /** The instances with a heartbeat. @throws MuxError `directory-unavailable` */
  list(): Promise<readonly string[]>
  /**
   * Asks every instance. One that knows the hold by its token ends the sessions of the user at that back end.
   * @throws MuxError `directory-unavailable`
   */
  quiesce(user: string, backend: string, token: string): Promise<FleetRound>
}

export type FleetRules = {
  /**
   * An instance without a heartbeat that gives no answer counts as dead after this time: the heartbeat's own and that of a login, since a
   * login that was on its way when the instance lost Redis may still reach the old back end.
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
  /** instances that had a heartbeat before the hold */
  known: readonly string[]
  note: (detail: string) => void
}

/** Pause after a round in which each instance has answered, of which one was not clear. */
const BUSY_PAUSE_MS = 100
/** Pause after a round in which an instance gave no answer, on top of the deadline of the question. */
const SILENT_PAUSE_MS = 500
/** At most so many instances are named. */
const NAMED = 10

export async function waitForInstances(waiting: Waiting, signal: AbortSignal): Promise<void> {
  const { fleet, fleetRules, clock, user, from, token, known, note } = waiting
  const startMs = clock.nowMs()
  const lastSeenMs = new Map(known.map((id) => [id, startMs]))
  let said = ''
  for (;;) {
    const { live, isClear } = await untilAnswered(clock, signal, note, () => fleet.quiesce(user, from, token))
    const nowMs = clock.nowMs()
    for (const id of [...live, ...isClear.keys()]) lastSeenMs.set(id, nowMs)
    const busy = [...isClear].flatMap(([id, clear]) => (clear ? [] : [id]))
    const silent = [...lastSeenMs].flatMap(([id, seenMs]) =>
      isClear.has(id) || (!live.includes(id) && nowMs - seenMs >= fleetRules.deadAfterMs) ? [] : [id],
    )
    if (busy.length === 0 && silent.length === 0) return
    const words = [
      ...(busy.length > 0 ? [`sessions on ${name(busy)}`] : []),
      ...(silent.length > 0 ? [`no answer from ${name(silent)}`] : []),
    ].join('; ')
    if (words !== said) note(words)
    said = words
    await clock.sleep(silent.length > 0 ? SILENT_PAUSE_MS : BUSY_PAUSE_MS, signal)
  }
}

/**
 * After the final pass. A session that an instance wrongly let through, for example because its clock is wrong and the hold seemed to
 * have expired, may have written behind that pass.
 * @throws StepFailed
 */
export async function checkStillClear(waiting: Waiting, signal: AbortSignal): Promise<void> {
  const { fleet, clock, user, from, token, note } = waiting
  const { isClear } = await untilAnswered(clock, signal, note, () => fleet.quiesce(user, from, token))
  const busy = [...isClear].flatMap(([id, clear]) => (clear ? [] : [id]))
  if (busy.length > 0) throw new StepFailed(`a session has begun at ${from} during the hold on ${name(busy)}`)
}

function name(ids: readonly string[]): string {
  const more = ids.length - NAMED
  return `${ids.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
