/** The hold of one move: taken, kept, ended by the switch of the route or by a release. */
import type { MoveStore, Taken } from '../directory/redis/move-store.ts'
import { StepFailed, untilAnswered, type MoveClock } from './step.ts'

/** A hold lasts for so long after its last renewal: the time that a user waits after a move was killed. */
export const HOLD_SECONDS = 60
const RENEW_MS = 20_000
/** Pause before a renewal that was not answered is repeated. */
const AGAIN_MS = 3000
/**
 * A hold with less time left is given up. The clocks of the instances, which compare the time in the hold with their own, may differ by
 * less than this.
 */
const MARGIN_MS = 20_000

const GONE = 'the hold was removed from the directory, or has expired'

export type Hold = { store: MoveStore; user: string; token: string; clock: MoveClock; note: (detail: string) => void }

/** @throws StepFailed if the user cannot be put on hold */
export async function takeHold(hold: Hold, from: string, by: string, signal: AbortSignal): Promise<void> {
  const { store, user, token, clock, note } = hold
  const taken = await untilAnswered(clock, signal, note, () => store.take(user, from, token, by, HOLD_SECONDS))
  if (taken.kind === 'taken') return
  // The hold of another move ends by itself. That of an operator does not.
  throw new StepFailed(whyNotTaken(taken, from), { isTemporary: taken.kind === 'held' && taken.by !== undefined })
}

function whyNotTaken(taken: Exclude<Taken, { kind: 'taken' }>, from: string): string {
  switch (taken.kind) {
    case 'unknown':
      return 'the directory has no route of the user any more'
    case 'elsewhere':
      return `the route names ${taken.backend} now, not ${from}`
    case 'status':
      return `the status of the user is ${taken.status}`
    case 'held':
      return describeHolder(taken.by, taken.sinceSeconds)
  }
}

/** Who holds a user, and since when. @param by undefined for an operator, who wrote `status hold` alone */
export function describeHolder(by: string | undefined, sinceSeconds: number | undefined): string {
  if (by === undefined) return 'the user is on hold by `status hold` in the directory, which no move has written'
  const since = sinceSeconds === undefined ? '' : ` since ${new Date(sinceSeconds * 1000).toISOString().slice(0, 19)}Z`
  return `the user is being moved by ${by}${since}`
}

export type HoldKeeper = {
  /** aborted when the hold is lost or cannot be renewed in time, with a StepFailed as reason */
  lost: AbortSignal
  /** Ends the renewals. Resolves once none is in flight. */
  end: () => Promise<void>
}

/** Renews the hold. @param askedAtMs when the hold was asked for, from which its time is counted */
export function keepHold({ store, user, token, clock, note }: Hold, askedAtMs: number): HoldKeeper {
  const lost = new AbortController()
  const ended = new AbortController()

  async function renew(): Promise<void> {
    let heldFromMs = askedAtMs
    let pauseMs = RENEW_MS
    for (;;) {
      await clock.sleep(pauseMs, ended.signal)
      if (ended.signal.aborted) return
      const sentMs = clock.nowMs()
      try {
        if (!(await store.renew(user, token, HOLD_SECONDS))) {
          lost.abort(new StepFailed(GONE))
          return
        }
        heldFromMs = sentMs
        pauseMs = RENEW_MS
      } catch (error) {
        const { message } = StepFailed.of(error)
        note(`the hold could not be renewed: ${message}`)
        if (clock.nowMs() - heldFromMs > HOLD_SECONDS * 1000 - MARGIN_MS) {
          lost.abort(new StepFailed(`the hold could not be renewed: ${message}`, { isTemporary: true }))
          return
        }
        pauseMs = AGAIN_MS
      }
    }
  }

  const renewing = renew()
  return {
    lost: lost.signal,
    end() {
      ended.abort()
      return renewing
    },
  }
}

/**
 * Switches the route. An answer may be lost, so the request is repeated: a second one changes nothing.
 * @param noteSent called with true before each request, with false when an answer says that nothing was switched
 * @throws StepFailed if the route was not switched
 */
export async function switchRoute(
  { store, user, token, clock, note }: Hold,
  { from, to }: { from: string; to: string },
  noteSent: (isSent: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  let requests = 0
  const switched = await untilAnswered(clock, signal, note, () => {
    noteSent(true)
    requests++
    return store.switch(user, token, from, to)
  })
  if (switched.kind === 'switched') return
  // Only a request of this move could end the hold and leave this route, unless an operator has written the same.
  if (requests > 1 && switched.backend === to) return
  noteSent(false)
  if (switched.backend === from) throw new StepFailed(GONE)
  throw new StepFailed(`another program has changed the route to ${switched.backend ?? 'nothing'}`)
}

/** @returns the back end of the route; `no-answer` if the directory gave none within `forMs` */
export async function releaseHold(
  { store, user, token, clock, note }: Hold,
  forMs: number,
): Promise<{ backend: string | undefined } | 'no-answer'> {
  const endMs = clock.nowMs() + forMs
  const stop = new AbortController()
  try {
    const backend = await untilAnswered(clock, stop.signal, note, async () => {
      if (clock.nowMs() > endMs) stop.abort()
      stop.signal.throwIfAborted()
      return store.release(user, token)
    })
    return { backend }
  } catch {
    return 'no-answer'
  }
}
