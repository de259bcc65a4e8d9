/** A connection's place at a back end: taken before the back end hears of it, waited for where one of its limits is reached. */
import type { Admissions } from '../backend/admission.ts'
import type { Turn } from '../backend/turn.ts'
import type { BackendSettings } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { ClientConnection } from './connection.ts'

/**
 * @param attempt which one of the login, from 1
 * @param untilMs by when there has to be a turn, or no time would be left for the back end
 * @returns the turn, which closing the connection gives back where nobody has done so before
 * @throws MuxError `backend-busy`, `backend-down`, `shutting-down`; `client-closed` where the client has left meanwhile
 */
export async function takeTurn(
  conn: ClientConnection,
  backend: BackendSettings,
  attempt: number,
  untilMs: number,
  admissions: Admissions,
): Promise<Turn> {
  const turn = admissions.enter(backend, attempt) ?? (await waitForTurn(conn, backend, attempt, untilMs, admissions))
  conn.turn = turn
  return turn
}

/** What only those pay for who wait: a signal, and two listeners on the client's socket. */
async function waitForTurn(
  conn: ClientConnection,
  backend: BackendSettings,
  attempt: number,
  untilMs: number,
  admissions: Admissions,
): Promise<Turn> {
  conn.phase = 'waiting'
  const left = new AbortController()
  const forget = conn.onLeaving(() =>
    left.abort(new MuxError('client-closed', 'the client left while its login waited')),
  )
  const { protocol } = conn.listener
  const stillWaiting = (): void => conn.dialogue?.stillTrying()
  try {
    return await admissions.wait(backend, attempt, { protocol, untilMs, signal: left.signal, stillWaiting })
  } finally {
    forget()
  }
}
