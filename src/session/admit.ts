/** Asks the limits about a connection: at its acceptance, or once its PROXY header has told where the client is. */
import { MuxError } from '../errors.ts'
import type { ConnectionFacts } from '../limits/facts.ts'
import { codeOf, isRejection, type Lease, type Rejection } from '../limits/rejection.ts'
import type { ListenerContext } from '../world.ts'
import type { Services } from './services.ts'
import type { Session } from './session.ts'
import { goodbyeOf, lastWords } from './turn-away.ts'

export type Admission = Lease | Rejection | undefined

/**
 * At `max_connections` of the listener a login of it that is held back ends, and the limits are asked once more.
 * @returns undefined where nothing is limited; a promise only where the answer is not known at once
 */
export function askAdmission(
  { settings, limits }: ListenerContext,
  address: string,
  services: AdmissionServices,
): Admission | Promise<Admission> {
  const facts: ConnectionFacts = { protocol: settings.protocol, listener: settings.name, address, limits }
  const asked = services.limits?.admitConnection(facts)
  if (asked instanceof Promise) return asked.then((admission) => askAgain(admission, facts, services))
  return askAgain(asked, facts, services)
}

function askAgain(
  admission: Admission,
  facts: ConnectionFacts,
  { limits, logins, events }: AdmissionServices,
): Admission | Promise<Admission> {
  if (!isRejection(admission) || admission.limit !== 'max_connections') return admission
  if (!logins.heldBack.endOldest(facts.listener)) return admission
  events.emit({ type: 'room-made', listener: facts.listener, max: facts.limits?.settings.maxConnections ?? 0 })
  return limits?.admitConnection(facts)
}

type AdmissionServices = Pick<Services, 'limits' | 'events'> & { logins: Pick<Services['logins'], 'heldBack'> }

/**
 * For a client behind a proxy: a rejected one gets its last line here. A load balancer's probe has no client.
 * @throws MuxError `client-denied`, `client-over-limit`
 */
export async function admitOrigin(session: Session, services: Services): Promise<void> {
  const { connection, context } = session
  if (connection.isHealthCheck) return
  const asked = askAdmission(context, connection.client.address, services)
  const admission = asked instanceof Promise ? await asked : asked
  if (!isRejection(admission)) {
    session.lease = admission
    return
  }
  services.events.emit({
    type: 'rejected',
    listener: context.settings.name,
    client: connection.client.address,
    rejection: admission,
  })
  session.isTurnedAway = true
  connection.write(lastWords(context.settings, goodbyeOf(admission)))
  throw new MuxError(codeOf(admission), admission.detail)
}
