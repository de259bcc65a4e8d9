/** The slot of a login at its back end. A login whose back end has reached a limit waits for one. */
import type { Slot } from '../backend/admission/slot.ts'
import type { WaitOptions } from '../backend/admission/wait.ts'
import type { Admissions } from '../backend/admission/admission.ts'
import type { BackendStates } from '../backend/states.ts'
import type { BackendSettings } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { LoginRecord, LoginSession } from './login.ts'

/** A slot after `untilMs` would leave no time for the back end. `holdUntilMs` is the deadline of a login whose back end is paused. */
export type SlotDeadlines = Pick<WaitOptions, 'untilMs' | 'holdUntilMs'>

/** @throws MuxError `backend-down` if an operator has set the back end to `down` */
export function checkState(backend: BackendSettings, states: Pick<BackendStates, 'of'>): void {
  if (states.of(backend.name)?.state === 'down')
    throw new MuxError('backend-down', `the state of back end ${backend.name} is down`)
}

/**
 * @param attempt which one of the login, from 1
 * @returns the slot, which the record keeps: the end of the session releases it if nothing has before
 * @throws MuxError `backend-busy`, `backend-paused`, `backend-drained`, `backend-down`, `shutting-down`; `client-closed` if the client has
 *   left meanwhile; the reason for which the session was ordered to end
 */
export function acquireSlot(
  session: LoginSession,
  record: LoginRecord,
  backend: BackendSettings,
  attempt: number,
  deadlines: SlotDeadlines,
  admissions: Pick<Admissions, 'enter' | 'wait'>,
): Slot | Promise<Slot> {
  const { isKnown } = record
  const slot = admissions.enter(backend, attempt, session.connection.client.address, isKnown)
  if (slot) return (record.slot = slot)
  return waitBesideClient(session, deadlines, session, (options) =>
    admissions.wait(backend, attempt, { ...options, isKnown }),
  ).then((waited) => (record.slot = waited))
}

/** Goes on with a slot that was paused while the client was asked. @throws MuxError as acquireSlot */
export async function resumeSlot(session: LoginSession, slot: Slot, untilMs: number): Promise<void> {
  // In the middle of an exchange the client gets nothing but challenges.
  await waitBesideClient(session, { untilMs, holdUntilMs: untilMs }, undefined, (options) => slot.resume(options))
}

/**
 * Only a login that waits creates a signal and two listeners on the client's socket.
 * @param toReassure the session whose client is told that the wait goes on
 */
export async function waitBesideClient<T>(
  session: LoginSession,
  deadlines: SlotDeadlines,
  toReassure: LoginSession | undefined,
  wait: (options: WaitOptions) => Promise<T>,
): Promise<T> {
  const { phase, connection } = session
  session.phase = 'waiting'
  const left = new AbortController()
  const forget = connection.onLeaving(() =>
    left.abort(new MuxError('client-closed', 'the client left while its login waited')),
  )
  const forgetEnding = session.onEnding((error) => left.abort(error))
  try {
    const waited = await wait({
      protocol: session.listener.protocol,
      address: connection.client.address,
      ...deadlines,
      signal: left.signal,
      stillWaiting: () => toReassure?.stillTrying(),
    })
    session.phase = phase
    return waited
  } finally {
    forget()
    forgetEnding()
  }
}
