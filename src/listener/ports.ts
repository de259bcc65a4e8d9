/** The ports that serve clients: those of the listeners, and the one of `delivery`. Pure. */
import type { ListenAddress, Settings } from '../config/settings.ts'
import { familyOf, hostPort, isUnspecified } from '../net/address.ts'

export type OpenPort = { listener: string; host: string; port: number }

export type NamedPort = { name: string; listen: readonly ListenAddress[] }

/** One address of a listener. */
export type Place = ListenAddress & { listener: string }

/** The name of the port of `delivery`. The checks of the configuration keep it from listeners then. */
export const DELIVERY_PORT = 'delivery'

export function portsOf({ listeners, delivery }: Pick<Settings, 'listeners' | 'delivery'>): NamedPort[] {
  return delivery ? [...listeners, { name: DELIVERY_PORT, listen: [delivery.listen] }] : [...listeners]
}

/**
 * Compares the open ports with those of new settings. A port stays open if any listener has it, so that a listener that was renamed, or
 * that speaks another protocol now, refuses no client.
 */
export function findNewPlaces(
  open: readonly OpenPort[],
  wanted: readonly NamedPort[],
): { kept: OpenPort[]; added: Place[] } {
  const isOpen = new Set(open.map(keyOf))
  const places = wanted.flatMap(({ name, listen }) => listen.map((address) => ({ ...address, listener: name })))
  const kept: OpenPort[] = []
  const added: Place[] = []
  for (const place of places) {
    const { listener, host, port } = place
    if (isOpen.has(keyOf(place))) kept.push({ listener, host, port })
    else added.push(place)
  }
  return { kept, added }
}

/**
 * The kernel binds no port of one address while the same port of every address is open, nor the other way round.
 * @throws Error with a message for the operator
 */
export function checkOverlap({ listener, host, port }: Place, open: readonly OpenPort[]): void {
  const other = open.find(
    (one) =>
      one.port === port && familyOf(one.host) === familyOf(host) && (isUnspecified(one.host) || isUnspecified(host)),
  )
  if (!other) return
  const [wanted, inUse] = [hostPort(host, port), hostPort(other.host, other.port)]
  throw new Error(
    `listener ${listener}: cannot listen on ${wanted} while mailmux listens on ${inUse}: remove ${inUse} by one reload and add ${wanted} by the next, or restart`,
  )
}

/** Two places with the same key are the same port. */
export function keyOf({ host, port }: { host: string; port: number }): string {
  return hostPort(host, port)
}
