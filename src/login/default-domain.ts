/** The domain of a name that comes without one. Pure. */
import type { ListenerSettings } from '../config/settings.ts'

export type DefaultDomain = { domain: string; by: 'server-name' | 'address' | 'listener' }

/** By the name that the client asked for, else by the address that it came to, else the listener's. */
export function findDefaultDomain(
  { defaultDomains, defaultDomain }: ListenerSettings,
  serverName: string | undefined,
  address: string | undefined,
): DefaultDomain | undefined {
  const byName = defaultDomains.get(serverName ?? '')
  if (byName !== undefined) return { domain: byName, by: 'server-name' }
  const byAddress = defaultDomains.get(address ?? '')
  if (byAddress !== undefined) return { domain: byAddress, by: 'address' }
  return defaultDomain === undefined ? undefined : { domain: defaultDomain, by: 'listener' }
}
