/**
 * The move of one user to another back end, in seven steps. Until the switch each failure leads back to the old route; after it nothing
 * is undone. No I/O of its own: the directory, the instances, the command and the clock are given to it.
 *
 * The hold makes new logins of the user wait on every instance. It is renewed while it is needed. A move that is killed leaves a hold
 * that expires to the old route.
 */
import type { MoveStore } from '../directory/redis/move-store.ts'
import {
  describeHolder,
  HOLD_SECONDS,
  keepHold,
  releaseHold,
  switchRoute,
  takeHold,
  type Hold,
  type HoldKeeper,
} from './hold.ts'
import {
  checkInstances,
  checkStillClear,
  waitForInstances,
  type Fleet,
  type FleetRules,
  type Waiting,
} from './instances.ts'
import { runPasses, type RunPass } from './passes.ts'
import { runStep, StepFailed, untilAnswered, type MoveClock } from './step.ts'

/** In this order. `copy` and `final` are left out without a command, `settle` without `delivery`. */
export const STEPS = ['check', 'copy', 'hold', 'end', 'settle', 'final', 'switch', 'release'] as const
export type MoveStep = (typeof STEPS)[number]

export type MoveOrder = { user: string; from: string; to: string }

/** `note` tells what a step waits for, and what is wrong without being a failure. */
export type MoveEvent = { step: MoveStep; state: 'begin' | 'done' | 'note'; detail?: string; tookMs?: number }

export type MoveOutcome =
  | { kind: 'moved'; heldMs: number }
  | {
      kind: 'failed'
      step: MoveStep
      why: string
      /** a later attempt may succeed without a change */
      temporary: boolean
      /** `old`: as before the move. `unknown`: the directory gave no answer after the switch was sent */
      route: 'old' | 'unknown'
      /** set if another program has changed the route while the move ran; without a back end, the user was removed */
      now?: { backend: string | undefined }
    }

/** Deadline of each step in milliseconds. `copy` and `final` count for one pass. */
export type MoveDeadlines = Record<MoveStep, number>

export const DEFAULT_DEADLINES: Omit<MoveDeadlines, 'end'> = {
  check: 30_000,
  /** a first copy of a large mailbox */
  copy: 6 * 3600_000,
  hold: 10_000,
  /** over the longest settle time that the command line takes */
  settle: 15 * 60_000,
  /** clients wait for less than a minute; a longer pass is still better than a failed move */
  final: 10 * 60_000,
  switch: 10_000,
  release: 10_000,
}

export type MoveParts = {
  store: MoveStore
  fleet: Fleet
  fleetRules: FleetRules
  /** Called again after the copy. @returns everything that forbids the move */
  check: (order: MoveOrder) => Promise<readonly string[]>
  /** undefined: nothing is copied, as for stores that share their storage */
  run: RunPass | undefined
  /** Time between the hold and the final pass, in which mail that was on its way is delivered to the old store. See docs/delivery.md. */
  settleMs: number
  deadlines: MoveDeadlines
  clock: MoveClock
  /** 32 hex digits that no other move has */
  newToken: () => string
  /** host and process that hold the user, for messages */
  by: string
  tell: (event: MoveEvent) => void
}

/** @param stop aborted by an operator: rolls back before the switch, and has no effect after it */
export async function moveUser(order: MoveOrder, parts: MoveParts, stop?: AbortSignal): Promise<MoveOutcome> {
  const { store, clock, tell, fleet, fleetRules, run, deadlines, settleMs } = parts
  const { user, from, to } = order
  const token = parts.newToken()
  const now: Progress = { step: 'check', isTaken: false, isSwitchSent: false, keeper: undefined, heldAtMs: 0 }
  const note = (detail: string): void => tell({ step: now.step, state: 'note', detail })
  const hold: Hold = { store, user, token, clock, note }

  /** @param deadlineMs default: that of the step */
  async function step<T>(
    name: MoveStep,
    work: (signal: AbortSignal) => Promise<T>,
    deadlineMs = deadlines[name],
  ): Promise<T> {
    now.step = name
    const startMs = clock.nowMs()
    tell({ step: name, state: 'begin' })
    const ends = name === 'release' ? [] : [stop, now.keeper?.lost].filter((end) => end !== undefined)
    const result = await runStep(clock, deadlineMs, ends, work)
    tell({ step: name, state: 'done', tookMs: clock.nowMs() - startMs })
    return result
  }

  /** `runPasses` has a deadline for each pass, and the command ends by it. */
  async function copy(name: 'copy' | 'final', then?: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (!run) return
    const passes = { order, run, passMs: deadlines[name], isFinal: name === 'final', clock, note }
    await step(
      name,
      async (signal) => {
        await runPasses(passes, signal)
        await then?.(signal)
      },
      Infinity,
    )
  }

  async function putOnHold(): Promise<void> {
    await step('hold', async (signal) => {
      // The copy may have taken hours.
      if (run) refuseIf(await untilAnswered(clock, signal, note, () => parts.check(order)))
      now.isTaken = true
      now.heldAtMs = clock.nowMs()
      return takeHold(hold, from, parts.by, signal)
    })
    now.keeper = keepHold(hold, now.heldAtMs)
  }

  async function switchOver(): Promise<void> {
    await step('switch', async (signal) => {
      await now.keeper?.end()
      const noteSent = (isSent: boolean): void => void (now.isSwitchSent = isSent)
      await switchRoute(hold, order, noteSent, signal)
    })
  }

  /** The switch has ended the hold. This reads what instances read. A defect is reported, and nothing is undone. */
  async function confirm(): Promise<MoveOutcome> {
    const heldMs = clock.nowMs() - now.heldAtMs
    try {
      await step('release', async (signal) => {
        const { backend, hold: other } = await untilAnswered(clock, signal, note, () => store.read(user))
        if (backend !== to)
          note(`the route names ${backend ?? 'no back end'} after the switch: another program has changed it`)
        if (other) note(describeHolder(other.by, other.sinceSeconds))
      })
    } catch (error) {
      note(`the route could not be read after the switch: ${StepFailed.of(error).message}`)
    }
    return { kind: 'moved', heldMs }
  }

  async function rollBack(error: unknown): Promise<MoveOutcome> {
    const { message: why, isTemporary } = StepFailed.of(error)
    // Without the interruption the same order may succeed.
    const temporary = isTemporary || stop?.aborted === true
    const outcome = { kind: 'failed', step: now.step, why, temporary, route: 'old' } as const
    // Instances that do not see the hold are a temporary failure; with another route the same order fails again.
    const withChange = (backend: string | undefined): MoveOutcome =>
      backend === from ? outcome : { ...outcome, temporary: false, now: { backend } }
    if (!now.isTaken) {
      // The check after the copy has refused: the user may have been removed meanwhile.
      if (now.step !== 'hold') return outcome
      return store.read(user).then(
        ({ backend }) => withChange(backend),
        () => outcome,
      )
    }
    const released = await releaseHold(hold, now.isSwitchSent ? CERTAINTY_MS : deadlines.release)
    if (released === 'no-answer') {
      if (!now.isSwitchSent) {
        note(`the hold could not be removed; it expires within ${HOLD_SECONDS} s`)
        return outcome
      }
      note('the directory gives no answer since the switch was sent: read the route before the user is moved again')
      return { ...outcome, temporary: true, route: 'unknown' }
    }
    // The answer to the switch was lost. The release has ended the token, so that no late switch can take effect after this answer.
    if (now.isSwitchSent && released.backend === to) return confirm()
    return withChange(released.backend)
  }

  try {
    const known = await step('check', async (signal) => {
      refuseIf(await parts.check(order))
      const members = await untilAnswered(clock, signal, note, () => fleet.list())
      const forbidden = checkInstances(members, fleetRules)
      if (forbidden !== undefined) throw new StepFailed(forbidden)
      return members
    })
    const waiting: Waiting = { fleet, fleetRules, clock, user, from, token, known, note }
    await copy('copy')
    await putOnHold()
    await step('end', (signal) => waitForInstances(waiting, signal))
    // Counted from the hold: the mail is delivered while the sessions end.
    const leftMs = now.heldAtMs + settleMs - clock.nowMs()
    if (leftMs > 0) await step('settle', (signal) => clock.sleep(leftMs, signal))
    await copy('final', (signal) => checkStillClear(waiting, signal))
    await switchOver()
    return await confirm()
  } catch (error) {
    await now.keeper?.end()
    return rollBack(error)
  }
}

/** @param wrong everything that forbids the move. @throws StepFailed */
function refuseIf(wrong: readonly string[]): void {
  if (wrong.length > 0) throw new StepFailed(wrong.join('; '))
}

type Progress = {
  step: MoveStep
  isTaken: boolean
  isSwitchSent: boolean
  keeper: HoldKeeper | undefined
  heldAtMs: number
}

/** After a lost answer to the switch: when the hold has expired no late switch can take effect, and any answer is final. */
const CERTAINTY_MS = (HOLD_SECONDS + 15) * 1000
