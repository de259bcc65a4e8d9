/** The ports that serve clients: those of the listeners, and the one of `delivery`. Pure. */
import type { ListenAddress, Settings } from '../config/settings.ts'

export type NamedPort = { name: string; listen: readonly ListenAddress[] }

/** The name of the port of `delivery`. The checks of the configuration keep it from listeners then. */
export const DELIVERY_PORT = 'delivery'

export function portsOf({ listeners, delivery }: Pick<Settings, 'listeners' | 'delivery'>): NamedPort[] {
  return delivery ? [...listeners, { name: DELIVERY_PORT, listen: [delivery.listen] }] : [...listeners]
}
