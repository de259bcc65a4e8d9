/** The limits of one listener as its connections see them. */
import type { ClientLimitSettings } from '../config/settings.ts'
import { buildAccess, type Access } from './access.ts'

export type ListenerLimits = {
  /** undefined where every address may connect */
  access: Access | undefined
}

/** @returns undefined for a listener without limits: its connections cost nothing then */
export function buildListenerLimits({ access: networks }: ClientLimitSettings): ListenerLimits | undefined {
  const access = buildAccess(networks)
  return access && { access }
}
