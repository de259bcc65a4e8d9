/** A connection's place at a back end: taken before the back end hears of it, waited for where one of its limits is reached. */
import type { Admissions } from '../backend/admission/admission.ts'
import type { Slot } from '../backend/admission/slot.ts'
import type { WaitOptions } from '../backend/admission/queue.ts'
import type { BackendSettings } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { ClientConnection } from '../client/connection.ts'

/**
 * @param attempt which one of the login, from 1
 * @param untilMs by when there has to be a slot, or no time would be left for the back end
 * @returns the slot, which closing the connection gives back unless it has been given back before
 * @throws MuxError `backend-busy`, `backend-down`, `shutting-down`; `client-closed` where the client has left meanwhile
 */
export async function acquireSlot(
  conn: ClientConnection,
  backend: BackendSettings,
  attempt: number,
  untilMs: number,
  admissions: Admissions,
): Promise<Slot> {
  const stillWaiting = (): void => conn.dialogue?.stillTrying()
  const slot =
    admissions.enter(backend, attempt, conn.client.address) ??
    (await waitFor(conn, untilMs, stillWaiting, (options) => admissions.wait(backend, attempt, options)))
  conn.slot = slot
  return slot
}

/** Goes on with a slot that has paused while the client was asked. @throws MuxError as acquireSlot */
export async function resumeSlot(conn: ClientConnection, slot: Slot, untilMs: number): Promise<void> {
  // In the middle of an exchange the client hears nothing but challenges.
  await waitFor(
    conn,
    untilMs,
    () => undefined,
    (options) => slot.resume(options),
  )
}

/** What only a login that waits pays for: a signal, and two listeners on the client's socket. */
async function waitFor<T>(
  conn: ClientConnection,
  untilMs: number,
  stillWaiting: () => void,
  wait: (options: WaitOptions) => Promise<T>,
): Promise<T> {
  const { phase } = conn
  conn.phase = 'waiting'
  const left = new AbortController()
  const forget = conn.onLeaving(() =>
    left.abort(new MuxError('client-closed', 'the client left while its login waited')),
  )
  const { protocol } = conn.listener
  const { address } = conn.client
  try {
    const waited = await wait({ protocol, address, untilMs, signal: left.signal, stillWaiting })
    conn.phase = phase
    return waited
  } finally {
    forget()
  }
}
