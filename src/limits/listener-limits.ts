/** The limits of one listener as its connections see them. */
import type { ClientLimitSettings } from '../config/settings.ts'
import { createIpSet } from '../net/ip-set.ts'
import { buildAccess, type Access } from './access.ts'

export type ListenerLimits = {
  /** undefined where every address may connect */
  access: Access | undefined
  settings: ClientLimitSettings
  /** no limit by address applies to it, and no penalty */
  isExempt: (address: string) => boolean
  /** any limit on connections is set */
  limitsConnections: boolean
  /** any limit on logins or sessions, or a penalty */
  limitsLogins: boolean
}

/** @returns undefined for a listener without limits: its connections cost nothing then */
export function buildListenerLimits(settings: ClientLimitSettings): ListenerLimits | undefined {
  const access = buildAccess(settings.access)
  const { maxConnections, connectionsPerAddress, connectionsPerPrefix, connectionRate } = settings
  const { sessionsPerUser, sessionsPerDomain, sessionsPerBackendUser, loginRate, userLoginRate, penalty } = settings
  const limitsConnections = isAnySet(maxConnections, connectionsPerAddress, connectionsPerPrefix, connectionRate)
  const limitsLogins =
    isAnySet(sessionsPerUser, sessionsPerDomain, sessionsPerBackendUser) || isAnySet(loginRate, userLoginRate, penalty)
  if (!access && !limitsConnections && !limitsLogins) return undefined
  const exempt = createIpSet(settings.exempt)
  return { access, settings, isExempt: (address) => exempt.has(address), limitsConnections, limitsLogins }
}

function isAnySet(...limits: readonly unknown[]): boolean {
  return limits.some((limit) => limit !== undefined)
}
