/** Why a login is turned away, in the one word that `replies.ts` turns into wire text: the same for logins and for who asks about them. Pure. */
import type { MuxError } from '../errors.ts'
import type { Refusal } from '../protocol/protocol.ts'
import type { DirectoryRefusal } from '../routing/directory.ts'
import type { Route } from '../routing/router.ts'

/** The directory has checked the password and says no: when the client is to hear of it, and whether it may try again. */
export type Verdict = Pick<DirectoryRefusal, 'waitMs' | 'last'>

/** `detail` is for the log, and never reaches a mail client. */
export type TurnedAway = { refusal: Refusal; detail: string; verdict?: Verdict }

/** For a route that leads to no back end. */
export function refusalOfRoute(route: Exclude<Route, { kind: 'backend' }>): TurnedAway {
  switch (route.kind) {
    case 'unknown':
      // Word for word what a wrong password gets, or the answer would tell who exists.
      return { refusal: { reason: 'authentication-failed' }, detail: 'no route for this user' }
    case 'disabled':
      return { refusal: { reason: 'disabled' }, detail: 'the directory says disabled' }
    case 'hold':
      return { refusal: { reason: 'unavailable' }, detail: 'the directory says hold' }
    case 'refused': {
      const { reason, detail, waitMs, last } = route
      return { refusal: { reason }, detail, verdict: { waitMs, last } }
    }
  }
}

/** For what went wrong beyond the client: it may help to wait, or it takes somebody to mend it. */
export function refusalOfError({ retryable }: MuxError): { reason: 'unavailable' | 'misconfigured' } {
  return { reason: retryable ? 'unavailable' : 'misconfigured' }
}
