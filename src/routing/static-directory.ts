/** The embedded directory: the users of the routing file. */
import type { RoutingSettings } from '../config/settings.ts'
import type { DirectoryEntry } from '../directory/directory.ts'

/** Synchronous, unlike a Directory: static users come first in each lookup and should cost it nothing. */
export function findStaticUser(routing: RoutingSettings, user: string): DirectoryEntry | undefined {
  const route = routing.users.get(user)
  return route && { ...route, status: 'active' }
}
