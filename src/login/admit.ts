/** Asks the limits about a login: before its route is looked up, after the back end has accepted it, and after a refusal. */
import type { LoginFacts } from '../limits/limits.ts'
import { codeOf, isRejection, type Rejection } from '../limits/rejection.ts'
import type { Refusal, Refused } from '../protocol/protocol.ts'
import type { Accepted, Login } from './login.ts'
import { refused } from './refuse.ts'

/** @returns undefined where the login may go on; a promise only where the answer is not known at once */
export function admitLogin(login: Login): Refused | undefined | Promise<Refused | undefined> {
  const asked = login.services.limits?.admitLogin(factsOf(login))
  if (asked instanceof Promise) return asked.then((rejection) => rejection && refusedByLimit(login, rejection))
  return asked && refusedByLimit(login, asked)
}

/**
 * Counts the session of a login that the back end has accepted.
 * @returns undefined where the session may begin. Otherwise the back end is left again
 */
export async function admitSession(login: Login, { backend }: Accepted, mailbox: string): Promise<Refused | undefined> {
  const { record, services } = login
  const facts = { ...factsOf(login), backend: record.backend ?? '', mailbox }
  const answer = await services.limits?.admitSession(facts)
  if (!isRejection(answer)) {
    record.lease = answer
    return undefined
  }
  backend.close()
  record.slot?.release()
  return refusedByLimit(login, answer)
}

/** Tells the limits of a refusal because of the credentials. */
export function noteRefusal(login: Login, { refusal }: Refused): void {
  if (refusal.reason === 'authentication-failed' || refusal.reason === 'authorization-failed')
    login.services.limits?.loginRefused(factsOf(login))
}

function factsOf({ session, record }: Login): LoginFacts {
  const { listener, limits, connection } = session
  return {
    protocol: listener.protocol,
    listener: listener.name,
    limits,
    address: connection.client.address,
    user: record.user,
  }
}

const REASONS = {
  denied: 'disabled',
  'too-many': 'too-many-sessions',
  'too-fast': 'too-many-logins',
} as const satisfies Record<Rejection['kind'], Refusal['reason']>

/** The answer waits as long as the one to a wrong password: a client that tries again at once would otherwise load mailmux without a pause. */
function refusedByLimit({ services, world }: Login, { limit, kind, detail }: Rejection): Refused {
  services.events.emit({ type: 'limit-hit', limit })
  return { ...refused(REASONS[kind], detail), code: codeOf({ kind }), waitMs: world.settings.limits.failureDelayMs }
}
