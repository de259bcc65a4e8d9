/**
 * Whether a client may connect, and whether a login may go on: the interface of the limits to the path of a connection. It is asked at
 * four moments (accept, login, acceptance by the back end, refusal). It closes no socket and writes no text: `session` and `login` do.
 */
import type { ProtocolName } from '../protocol/registry.ts'
import type { ListenerLimits } from './listener-limits.ts'
import type { Lease, Rejection } from './rejection.ts'

/** `address`: of the client; of the PROXY header where there is one. `limits`: undefined where the listener has none. */
export type ConnectionFacts = {
  protocol: ProtocolName
  listener: string
  address: string
  limits: ListenerLimits | undefined
}

/** `user`: the normalised name; undefined for a name that no user can have. */
export type LoginFacts = ConnectionFacts & { user: string | undefined }

/** `mailbox`: the name of the user at the back end */
export type SessionFacts = LoginFacts & { backend: string; mailbox: string }

/** An answer that is known at once costs no promise. undefined: admitted, and nothing is held. */
type Answer<T> = T | undefined | Promise<T | undefined>

export type Limits = {
  /** A client has connected, and its address is known. Nothing is sent to it and no TLS has begun. */
  admitConnection(facts: ConnectionFacts): Answer<Rejection | Lease>
  /** The user of a login is known. No directory and no back end is asked yet. Resolves when the login may go on. */
  admitLogin(facts: LoginFacts): Answer<Rejection>
  /** The back end has accepted the login, and the client does not know it yet. The lease is held until the end of the session. */
  admitSession(facts: SessionFacts): Answer<Rejection | Lease>
  /** The login was refused because of its credentials. */
  loginRefused(facts: LoginFacts): void
}

/** A further reason to reject, which needs no configuration of a listener. Asked each time, so it answers from memory. */
export type Guard = {
  ofConnection?(facts: ConnectionFacts): Rejection | undefined
  ofLogin?(facts: LoginFacts): Rejection | undefined
}

export type LimitParts = {
  /** asked in this order, after the networks of the listener */
  guards?: readonly Guard[]
}

export function createLimits({ guards = [] }: LimitParts = {}): Limits {
  return {
    admitConnection(facts) {
      const denied = facts.limits?.access?.(facts.address)
      if (denied) return denied
      for (const guard of guards) {
        const rejection = guard.ofConnection?.(facts)
        if (rejection) return rejection
      }
      return undefined
    },
    admitLogin(facts) {
      for (const guard of guards) {
        const rejection = guard.ofLogin?.(facts)
        if (rejection) return rejection
      }
      return undefined
    },
    admitSession: () => undefined,
    loginRefused: () => undefined,
  }
}
