/** Who notices a reload: the sessions of listeners and back ends that change, and the users of the routing file whose back end leaves. */
import { setImmediate } from 'node:timers/promises'
import type { Change } from '../config/differences.ts'
import type { UserRoutes } from '../config/settings.ts'

/** `sessions`: running ones, which go on as they are; `users`: of the routing file in force, with a route there */
export type Affected = { sessions?: number; users?: number }

/** Users that are looked at in one turn of the event loop: about 3 ms. */
const USERS_A_TURN = 1000

/**
 * @param countSessions of a listener or a back end; undefined if it is not known
 * @returns each change with what it affects
 */
export async function findEffects(
  changes: readonly Change[],
  users: UserRoutes,
  countSessions: (filter: { listener: string } | { backend: string }) => Promise<number | undefined>,
): Promise<(Change & { affected?: Affected })[]> {
  const leaving = changes.filter(isLeavingBackend).map(({ name = '' }) => name)
  const counts = await countUsers(users, new Set(leaving))
  return Promise.all(
    changes.map(async (change) => {
      const { what, name } = change
      if (name === undefined || change.change === 'added') return change
      const sessions = await countSessions(what === 'listener' ? { listener: name } : { backend: name })
      const routed = counts.get(name)
      const affected = {
        ...(sessions !== undefined && { sessions }),
        ...(isLeavingBackend(change) && routed !== undefined && { users: routed }),
      }
      return { ...change, affected }
    }),
  )
}

function isLeavingBackend({ what, change }: Change): boolean {
  return what === 'back end' && change === 'removed'
}

async function countUsers(users: UserRoutes, backends: ReadonlySet<string>): Promise<Map<string, number>> {
  const counts = new Map([...backends].map((name) => [name, 0]))
  if (backends.size === 0) return counts
  let done = 0
  for (const [, { backend }] of users) {
    const count = counts.get(backend)
    if (count !== undefined) counts.set(backend, count + 1)
    if (++done % USERS_A_TURN === 0) await setImmediate()
  }
  return counts
}
