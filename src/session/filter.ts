/** Which sessions an operator means. */
import { createIpSet } from '../net/ip-set.ts'
import type { Session } from './session.ts'

/** Selects sessions. An absent field matches every session. */
export type SessionFilter = {
  /** the name by which the last login was routed */
  user?: string | undefined
  backend?: string | undefined
  /** an address or a network of clients */
  client?: string | undefined
  /** its name */
  listener?: string | undefined
}

/** A load balancer's probe is no session to an operator and never matches. @throws RangeError if `client` is no address and no network */
export function buildMatcher({ user, backend, client, listener }: SessionFilter): (session: Session) => boolean {
  const clients = client === undefined ? undefined : createIpSet([client])
  return ({ connection, login, listener: { name } }) =>
    !connection.isHealthCheck &&
    (user === undefined || login?.user === user) &&
    (backend === undefined || login?.backend === backend) &&
    (listener === undefined || name === listener) &&
    (clients === undefined || clients.has(connection.client.address))
}
