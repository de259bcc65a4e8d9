/** The sockets that a service manager has opened for this instance, held against the ports of its configuration. */
import type { Settings } from '../config/settings.ts'
import { matchGiven, readGiven } from '../listener/activation.ts'
import { createInheritedSockets, type InheritedSockets } from '../listener/inherited.ts'
import { portsOf, type NamedPort } from '../listener/ports.ts'

/** By this name a unit gives the socket of `admin.listen`, unless a listener has the name. */
const ADMIN_PORT = 'admin'

/**
 * @param env the environment of the process, which names the sockets
 * @throws Error with a message for the operator, if a socket is meant for no listener
 */
export async function adoptSockets(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
  settings: Pick<Settings, 'listeners' | 'delivery' | 'admin'>,
): Promise<InheritedSockets> {
  return createInheritedSockets(await matchGiven(readGiven(env, pid), namedPorts(settings)))
}

/** Every port of the settings. */
export function namedPorts(settings: Pick<Settings, 'listeners' | 'delivery' | 'admin'>): NamedPort[] {
  const ports = portsOf(settings)
  const { admin } = settings
  return admin ? [...ports, { name: ADMIN_PORT, listen: [{ ...admin, optional: false }] }] : ports
}
