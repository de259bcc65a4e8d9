/**
 * Users of a back end that an operator drains with `reassign`: each gets another back end by placement at the next login, for good. No mail
 * is copied, so that this is right where the other back end has the same mail. A user stays where the route is not certain, where no other
 * back end may take the user, and where the route is not of the directory.
 */
import type { BackendSettings, PlacementPool, RoutingSettings } from '../config/settings.ts'
import type { Directory, DirectoryAnswer } from '../directory/directory.ts'
import type { DirectoryEntry } from '../directory/entry.ts'
import type { Trace } from '../directory/trace.ts'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { placedName, type NewUsers, type Reassigning } from './new-users.ts'
import { choose, toCandidate } from './placement.ts'

export type Reassignment = {
  /** The back ends that users of this one may get, up or not. */
  targetsOf(backend: string): string[]
  /**
   * @param key of the user's route in the directory
   * @param trace gets the choice; nothing is written then
   * @returns the route after this; undefined: as it was found
   * @throws MuxError as a lookup
   */
  find(key: string, found: DirectoryAnswer, trace?: Trace): Promise<DirectoryEntry | undefined>
}

export function createReassignment(
  { backends, placement }: RoutingSettings,
  directory: Pick<Directory, 'reassign'> | undefined,
  newUsers: Pick<NewUsers, 'poolFor'>,
  { isOrdered, mayTake }: Reassigning,
): Reassignment {
  function targetsIn(pool: PlacementPool | undefined, from: BackendSettings | undefined): BackendSettings[] {
    return pool?.filter((to) => from && to.name !== from.name && servesAsMuch(to, from)) ?? []
  }

  return {
    targetsOf(backend) {
      const pools = [...placement.domains.values(), placement.others]
      return [...new Set(pools.flatMap((pool) => targetsIn(pool, backends.get(backend))).map(({ name }) => name))]
    },
    async find(key, { entry, source }, trace) {
      // On hold the mailbox is being moved. A route that stands in during an outage may be an old one.
      if (entry?.status !== 'active' || (source !== 'directory' && source !== 'cache')) return undefined
      const from = entry.backend
      if (!directory?.reassign || !isOrdered(from)) return undefined
      const user = placedName(key)
      const takers = targetsIn(newUsers.poolFor(user), backends.get(from)).filter(({ name }) => mayTake(name))
      const to = choose(user, takers.map(toCandidate))?.name
      trace?.({ asked: 'placement', key, ...describeChoice(from, to, takers) })
      if (to === undefined) return undefined
      return trace ? { ...entry, backend: to } : directory.reassign(key, from, to)
    },
  }
}

/** A user keeps each way to the mailbox, and delivery too. */
function servesAsMuch(to: BackendSettings, from: BackendSettings): boolean {
  const serves = ({ ports, srv }: BackendSettings, protocol: keyof BackendSettings['ports']): boolean =>
    (srv ?? ports)[protocol] !== undefined
  const isWhole = PROTOCOL_NAMES.every((protocol) => serves(to, protocol) || !serves(from, protocol))
  return isWhole && (to.lmtp !== undefined || from.lmtp === undefined)
}

function describeChoice(
  from: string,
  to: string | undefined,
  takers: readonly BackendSettings[],
): { outcome: 'found' | 'unavailable'; detail: string } {
  if (to === undefined) return { outcome: 'unavailable', detail: `no other back end takes the users of ${from} now` }
  const among = takers.map(({ name, weight }) => `${name}*${weight}`).join(' ')
  return { outcome: 'found', detail: `${to} (reassigned from ${from}, by hash, of ${among})` }
}
