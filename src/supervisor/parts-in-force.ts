/** Combines parts of the settings in force with new settings. Pure. */
import type { Settings } from '../config/settings.ts'
import { UserTable } from '../config/build/user-table.ts'

/** @returns the new settings, with the table in force if it has the same users: it is then not sent to workers again and not stored twice */
export function keepUnchangedUsers(inForce: Settings, settings: Settings): Settings {
  const [before, after] = [inForce.routing.users, settings.routing.users]
  if (!(before instanceof UserTable) || !(after instanceof UserTable) || !before.equals(after)) return settings
  return { ...settings, routing: { ...settings.routing, users: before } }
}

/**
 * The new settings of mailmux.yaml with the routing in force.
 * @returns undefined if they do not fit together: names are interpreted differently, or mailmux.yaml names a back end that the routing lacks
 */
export function withRoutingInForce({ routing }: Settings, settings: Settings): Settings | undefined {
  const named = settings.listeners.flatMap(({ passthrough }) => passthrough.map(({ backend }) => backend))
  const fits = settings.routing.userCase === routing.userCase && named.every((name) => routing.backends.has(name))
  return fits ? { ...settings, routing } : undefined
}
