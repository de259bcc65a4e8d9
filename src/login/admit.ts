/** Asks the limits about a login: before its route is looked up, after the back end has accepted it, and after a refusal. */
import { MuxError } from '../errors.ts'
import type { LoginFacts } from '../limits/facts.ts'
import { codeOf, isRejection, type Delay, type Known, type Lease, type Rejection } from '../limits/rejection.ts'
import { encodeUtf8 } from '../octets.ts'
import type { Refusal, Refused } from '../protocol/protocol.ts'
import { stop } from './clock.ts'
import type { Accepted, Login } from './login.ts'
import { refused } from './refuse.ts'

/** @returns undefined where the login may go on; a promise only where the answer is not known at once, or the login is delayed */
export function admitLogin(login: Login): Refused | undefined | Promise<Refused | undefined> {
  const asked = login.services.limits?.admitLogin(factsOf(login))
  if (asked === undefined) return undefined
  return asked instanceof Promise ? asked.then((answer) => follow(login, answer)) : follow(login, asked)
}

function follow(login: Login, answer: Rejection | Delay | Known | undefined): Refused | undefined | Promise<undefined> {
  if (answer === undefined) return undefined
  if ('isKnown' in answer) {
    login.record.isKnown = true
    return undefined
  }
  return isRejection(answer) ? refusedByLimit(login, answer) : waitOut(login, answer)
}

/** @throws MuxError as `pause` */
async function waitOut(login: Login, delay: Delay): Promise<undefined> {
  const { session, services } = login
  services.events.emit({ type: 'limit-hit', limit: 'penalty' })
  const { phase } = session
  session.phase = 'waiting'
  try {
    await pause(login, delay.delayMs)
    session.phase = phase
  } finally {
    delay.release()
  }
  return undefined
}

/** One for all: guessers leave by the thousand, and the trace of an error takes time. */
const LEFT = new MuxError('client-closed', 'the client left while its login waited')

/**
 * A timer and three listeners, and nothing else: most guesses of a flood wait here.
 * @throws MuxError `client-closed` if the client has left meanwhile; `too-many-connections` if its place is needed; the reason for which
 *   the session was ordered to end
 */
function pause({ session, services }: Login, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const takenBack: (() => void)[] = []
    const end = (error?: MuxError): void => {
      for (const takeBack of takenBack) takeBack()
      if (error) reject(error)
      else resolve()
    }
    const timer = services.clock.after(ms, end)
    takenBack.push(() => stop(timer))
    takenBack.push(services.heldBack.add('delayed', session, end))
    takenBack.push(session.connection.onLeaving(() => end(LEFT)))
    takenBack.push(session.onEnding(end))
  })
}

/**
 * Counts the session of a login that the back end has accepted.
 * @returns undefined where the session may begin. Otherwise the back end is left again. A promise only where the answer is not known at once
 */
export function admitSession(
  login: Login,
  accepted: Accepted,
  mailbox: string,
): Refused | undefined | Promise<Refused | undefined> {
  const { record, services } = login
  if (!services.limits) return undefined
  // The sessions of a master user count for the owner of the mailbox, whose name stands before a separator of one character.
  const owner = record.master === undefined ? mailbox : mailbox.slice(0, -(encodeUtf8(record.master).length + 1))
  const asked = services.limits.admitSession({ ...factsOf(login), backend: record.backend ?? '', mailbox: owner })
  if (asked instanceof Promise) return asked.then((answer) => beginOrLeave(login, accepted, answer))
  return beginOrLeave(login, accepted, asked)
}

function beginOrLeave(login: Login, { backend }: Accepted, answer: Rejection | Lease | undefined): Refused | undefined {
  const { record } = login
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
