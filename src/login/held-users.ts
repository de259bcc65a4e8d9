/**
 * Logins of users who are on hold in the directory, because their mailbox is being moved. They hold no slot and no connection. A login is
 * routed again when the route of its user has changed, and when the hold has run out. The number of waiting logins is bounded, and so is
 * the part of them that the clients of one network take.
 */
import { SYSTEM_CLOCK, type Clock } from '../backend/admission/admission.ts'
import { AddressShares, shareOf } from '../backend/admission/address-share.ts'
import { reassureMs, type WaitOptions } from '../backend/admission/wait.ts'
import { asMuxError, hasCode, MuxError } from '../errors.ts'
import type { Text } from '../octets.ts'

/** Each user who waits has a mailbox that is being moved: a bulk move holds tens of users at a time, and a user has ten clients at most. */
const MAX_WAITING = 1000
/** A network may have so many logins here in any case: webmail has one address for all of its users. */
const LEAST_FOR_NETWORK = 250
/** The end of a hold that no message tells of is seen after this time at the latest. */
const TICK_MS = 1000
export type HeldUsers = {
  /**
   * Looks when the route of the user has changed, and each second.
   * @param look undefined while the user is on hold
   * @returns what `look` has given first
   * @throws MuxError `user-on-hold` after `options.holdUntilMs`, or at once where too many logins wait; `shutting-down`; the reason of the
   *   signal; the error of `look`, other than `directory-unavailable`: the login waits on then
   */
  wait<Found extends object>(user: Text, options: HeldOptions, look: () => Promise<Found | undefined>): Promise<Found>
  /** The route of this user has changed; undefined: any may have. */
  changed(user: Text | undefined): void
  /** number of waiting logins */
  readonly size: number
  /** Ends every wait, and each later one at once. */
  close(): void
}

export type HeldOptions = Pick<WaitOptions, 'address' | 'holdUntilMs' | 'signal' | 'stillWaiting'>

/** One waiting login. */
type Waiting = {
  readonly user: Text
  /** Looks now, or once more where it is looking already. */
  look(): void
  tick(nowMs: number): void
  end(error: Error): void
}

/** @param placedName the name under which the route of a user is kept that mailmux has placed */
export function createHeldUsers(
  placedName: (user: Text) => Text,
  { clock = SYSTEM_CLOCK, random = Math.random }: { clock?: Clock; random?: () => number } = {},
): HeldUsers {
  const waiting = new Set<Waiting>()
  const shares = new AddressShares<never>()
  let stopTicking: (() => void) | undefined
  let isClosed = false

  function leave(one: Waiting): void {
    waiting.delete(one)
    if (waiting.size > 0) return
    stopTicking?.()
    stopTicking = undefined
  }

  function enter(one: Waiting): void {
    waiting.add(one)
    stopTicking ??= clock.every(TICK_MS, () => {
      for (const each of waiting) each.tick(clock.nowMs())
    })
  }

  return {
    wait(user, { address, holdUntilMs, signal, stillWaiting }, look) {
      if (isClosed) return Promise.reject(new MuxError('shutting-down', 'shutting down'))
      if (signal.aborted) return Promise.reject(signal.reason as Error)
      const use = shares.open(address)
      if (waiting.size >= MAX_WAITING || (use && use.waiting >= shareOf(MAX_WAITING, LEAST_FOR_NETWORK))) {
        const whose = waiting.size >= MAX_WAITING ? '' : ` of ${use?.network ?? ''}`
        return Promise.reject(
          new MuxError('user-on-hold', `the user is on hold, and too many logins${whose} wait already`),
        )
      }
      return new Promise((resolve, reject) => {
        let toldMs = clock.nowMs()
        const everyMs = reassureMs(random)
        let isLooking = false
        let isOutdated = false
        let isOver = false
        const finish = (settle: () => void): void => {
          if (isOver) return
          isOver = true
          signal.removeEventListener('abort', onAbort)
          if (use) {
            use.waiting--
            shares.closeIfEmpty(use)
          }
          leave(one)
          settle()
        }
        const onAbort = (): void => finish(() => reject(signal.reason as Error))
        const one: Waiting = {
          user,
          look() {
            isOutdated = true
            if (isLooking) return
            isLooking = true
            isOutdated = false
            look().then(
              (found) => {
                isLooking = false
                if (found) finish(() => resolve(found))
                else if (isOutdated && !isOver) one.look()
              },
              (error: unknown) => {
                isLooking = false
                // The next tick looks again. A refusal now would be a tagged NO, after which some clients stop push for an hour.
                if (!hasCode(error, 'directory-unavailable')) finish(() => reject(asMuxError(error)))
              },
            )
          },
          tick(nowMs) {
            if (nowMs >= holdUntilMs) {
              one.end(new MuxError('user-on-hold', 'the user is on hold, and the login has waited for its end'))
              return
            }
            if (nowMs - toldMs >= everyMs) {
              toldMs = nowMs
              stillWaiting()
            }
            // The hold may have run out, or have ended while Redis told of no changes.
            one.look()
          },
          end: (error) => finish(() => reject(error)),
        }
        if (use) use.waiting++
        signal.addEventListener('abort', onAbort)
        enter(one)
      })
    },
    changed(user) {
      for (const one of waiting)
        if (user === undefined || one.user === user || placedName(one.user) === user) one.look()
    },
    get size() {
      return waiting.size
    },
    close() {
      isClosed = true
      for (const one of waiting) one.end(new MuxError('shutting-down', 'shutting down'))
    },
  }
}
