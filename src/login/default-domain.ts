/** The default domain of a name without a domain. Pure. */
import type { ListenerSettings } from '../config/settings.ts'

export type DefaultDomain = { domain: string; by: 'server-name' | 'address' | 'listener' }

/** By the server name of the client, else by the local address of the connection, else that of the listener. */
export function findDefaultDomain(
  { defaultDomains, defaultDomain }: ListenerSettings,
  serverName: string | undefined,
  address: string | undefined,
): DefaultDomain | undefined {
  if (defaultDomains.size > 0) {
    const byName = defaultDomains.get(serverName ?? '')
    if (byName !== undefined) return { domain: byName, by: 'server-name' }
    const byAddress = defaultDomains.get(address ?? '')
    if (byAddress !== undefined) return { domain: byAddress, by: 'address' }
  }
  return defaultDomain === undefined ? undefined : { domain: defaultDomain, by: 'listener' }
}
