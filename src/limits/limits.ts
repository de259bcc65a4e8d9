/**
 * Whether a client may connect, and whether a login may go on: the interface of the limits to the path of a connection. It is asked at
 * four moments (accept, login, acceptance by the back end, refusal). It closes no socket and writes no text: `session` and `login` do.
 */
import { attemptOf, connectionClaims, loginQuestion, sessionQuestion } from './claims.ts'
import { createDelays } from './delays.ts'
import type { ConnectionFacts, LoginFacts, SessionFacts } from './facts.ts'
import type { Claims, Ledger, Overrun, Taken } from './ledger.ts'
import { createLocalLedger } from './local-ledger.ts'
import { KNOWN, type Delay, type Known, type Lease, type Rejection } from './rejection.ts'

/** An answer that is known at once costs no promise. undefined: admitted, and nothing is held. */
type Answer<T> = T | undefined | Promise<T | undefined>

export type Limits = {
  /** A client has connected, and its address is known. Nothing is sent to it and no TLS has begun. */
  admitConnection(facts: ConnectionFacts): Answer<Rejection | Lease>
  /** The user of a login is known. No directory and no back end is asked yet. */
  admitLogin(facts: LoginFacts): Answer<Rejection | Delay | Known>
  /** The back end has accepted the login, and the client does not know it yet. The lease is held until the end of the session. */
  admitSession(facts: SessionFacts): Answer<Rejection | Lease>
  /** The login was refused because of its credentials. */
  loginRefused(facts: LoginFacts): void
}

/** A further reason to reject, which needs no configuration of a listener. Asked each time, so it answers from memory. */
export type Guard = {
  ofConnection?: (facts: ConnectionFacts) => Rejection | undefined
  ofLogin?: (facts: LoginFacts) => Rejection | undefined
}

export type LimitParts = {
  /** asked in this order, after the networks of the listener */
  guards?: readonly Guard[]
  /** undefined: in the memory of this process */
  ledger?: Ledger | undefined
}

export function createLimits({ guards = [], ledger = createLocalLedger() }: LimitParts = {}): Limits {
  const delays = createDelays()

  function resultOf(taken: Taken, { counts }: Claims): Rejection | Lease | undefined {
    if (taken === 'unanswered') return undefined
    if (taken) return rejectionOf(taken)
    if (counts.length === 0) return undefined
    const keys = counts.map(({ key }) => key)
    return { release: () => ledger.release(keys.splice(0)) }
  }

  return {
    admitConnection(facts) {
      const rejection =
        facts.limits?.access?.(facts.address) ?? firstOf(guards, ({ ofConnection }) => ofConnection, facts)
      if (rejection) return rejection
      const claims = connectionClaims(facts)
      return claims && then(ledger.takeConnection(claims), (taken) => resultOf(taken, claims))
    },
    admitLogin(facts) {
      const rejection = firstOf(guards, ({ ofLogin }) => ofLogin, facts)
      if (rejection) return rejection
      const question = loginQuestion(facts)
      if (!question) return undefined
      return then(
        ledger.askLogin(question),
        ({ overrun, delayMs, isKnown }) =>
          rejectionOf(overrun) ??
          (question.attempt && delays.enter(delayMs, question.attempt)) ??
          (isKnown && delayMs === 0 ? KNOWN : undefined),
      )
    },
    admitSession(facts) {
      const question = sessionQuestion(facts)
      return question && then(ledger.takeSession(question), (taken) => resultOf(taken, question))
    },
    loginRefused(facts) {
      const attempt = attemptOf(facts)
      if (attempt) ledger.noteFailure(attempt)
    },
  }
}

function firstOf<Facts>(
  guards: readonly Guard[],
  ask: (guard: Guard) => ((facts: Facts) => Rejection | undefined) | undefined,
  facts: Facts,
): Rejection | undefined {
  for (const guard of guards) {
    const rejection = ask(guard)?.(facts)
    if (rejection) return rejection
  }
  return undefined
}

function then<T, U>(value: T | Promise<T>, next: (value: T) => U): U | Promise<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

function rejectionOf(overrun: Overrun | undefined): Rejection | undefined {
  if (!overrun) return undefined
  const { limit, max, perMs, waitMs } = overrun
  if (perMs === undefined || waitMs === undefined)
    return { limit, kind: 'too-many', detail: `${limit}: ${max} are open` }
  return {
    limit,
    kind: 'too-fast',
    detail: `${limit}: ${max} in ${perMs} ms have come; the next may come in ${Math.ceil(waitMs)} ms`,
  }
}
