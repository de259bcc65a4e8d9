/** Refusals of logins: from which failure each follows, and when the client gets it. */
import { asMuxError, type MuxError } from '../errors.ts'
import type { Refusal, Refused } from '../protocol/protocol.ts'
import type { Route } from '../routing/router.ts'
import { stop } from './clock.ts'
import type { Login } from './login.ts'

/** For a route that leads to no back end. */
export function refusedByRoute(route: Exclude<Route, { kind: 'backend' }>): Refused {
  switch (route.kind) {
    case 'unknown':
      // The words of a wrong password: other words would tell who exists.
      return refused('authentication-failed', 'no route for this user')
    case 'disabled':
      return refused('disabled', 'the directory says disabled')
    case 'hold':
      return { ...refused('unavailable', 'the directory says hold: logins wait'), code: 'user-on-hold' }
    case 'refused': {
      const { reason, detail, waitMs, last } = route
      return { ...refused(reason, detail), waitMs, last }
    }
  }
}

export function refused(reason: Exclude<Refusal['reason'], 'passed-on'>, detail: string): Refused {
  return { accepted: false, refusal: { reason }, detail }
}

/**
 * For a failure on the way to the back end or in the directory.
 * @throws the same error if the client caused it or it is a defect of mailmux: the session ends with it
 */
export function refusedByError(thrown: unknown): Refused {
  const error = asMuxError(thrown)
  if (error.side === 'client' || error.code === 'internal') throw error
  return { ...refused(reasonOf(error), error.message), code: error.code }
}

/** A retryable failure may pass by itself; others need an operator. */
export function reasonOf({ retryable }: MuxError): 'unavailable' | 'misconfigured' {
  return retryable ? 'unavailable' : 'misconfigured'
}

/**
 * Holds a refusal of credentials back until it is due, so that its time does not tell who exists. What is remembered of the user's route
 * may be wrong: the mailbox may have moved. A refusal by a limit waits too, for the sake of the load.
 * @throws MuxError `too-many-connections` if its place is needed
 */
export async function holdRefusal(login: Login, { refusal, code, tookMs, waitMs = 0 }: Refused): Promise<void> {
  if (refusal.reason !== 'authentication-failed') {
    if (waitMs > 0 && (code === 'client-denied' || code === 'client-over-limit')) await hold(login, waitMs)
    return
  }
  const { world, record, session } = login
  const { pace } = login.services
  const { address } = session.connection.client
  if (tookMs !== undefined) pace.observe(tookMs, address)
  if (record.user !== undefined) world.router.invalidate(record.user)
  const passedMs = login.ageMs - login.clientMs
  const leftMs = pace.dueMs(world.settings.limits.failureDelayMs, address) - passedMs
  await hold(login, Math.max(0, leftMs, waitMs))
}

function hold({ session, services: { clock, heldBack } }: Login, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => {
      takeOut()
      resolve()
    })
    const takeOut = heldBack.add('refused', session, (error) => {
      stop(timer)
      reject(error)
    })
  })
}
