/** What is known of running sessions, in plain facts for the API. Holds no secret. */
import type { ProtocolName } from '../config/settings.ts'
import type { ClientConnection, Phase } from '../client/connection.ts'

/** Which sessions are asked for; what is left out is not asked of them. */
export type SessionFilter = {
  /** the name by which the last login was routed */
  user?: string | undefined
  backend?: string | undefined
  /** so many at most */
  limit: number
}

/** What does not apply, or is not known yet, is absent. */
export type SessionReport = {
  id: string
  client: string
  listener: string
  protocol: ProtocolName
  phase: Phase
  user?: string
  backend?: string
  /** the version towards the client */
  tls?: string
  ageSeconds: number
}

type Reported = Pick<
  ClientConnection,
  'id' | 'client' | 'listener' | 'phase' | 'user' | 'backend' | 'tlsVersion' | 'bornMs' | 'isHealthCheck'
>

/**
 * @param running the oldest first
 * @returns the oldest of those that are asked for, and how many of these there are
 */
export function reportSessions(
  running: Iterable<Reported>,
  { user, backend, limit }: SessionFilter,
  nowMs: number,
): { sessions: SessionReport[]; total: number } {
  const sessions: SessionReport[] = []
  let total = 0
  for (const conn of running) {
    if (conn.isHealthCheck) continue
    if ((user !== undefined && conn.user !== user) || (backend !== undefined && conn.backend !== backend)) continue
    total++
    if (sessions.length < limit) sessions.push(report(conn, nowMs))
  }
  return { sessions, total }
}

function report(conn: Reported, nowMs: number): SessionReport {
  const { id, client, listener, phase, user, backend, tlsVersion: tls, bornMs } = conn
  return {
    id,
    client: client.address,
    listener: listener.name,
    protocol: listener.protocol,
    phase,
    ...(user !== undefined && { user }),
    ...(backend !== undefined && { backend }),
    ...(tls !== undefined && { tls }),
    ageSeconds: Math.round(nowMs - bornMs) / 1000,
  }
}
