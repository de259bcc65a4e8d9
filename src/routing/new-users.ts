/**
 * Placement of users without a route: which of them are placed, and where. The choice is pure (placement.ts) among the back ends that
 * are up. The first reservation in the directory counts for all instances (directory/redis/claims.ts).
 */
import type { PlacementPool, PlacementSettings } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { Directory, DirectoryAnswer } from '../directory/directory.ts'
import { domainOf } from './identity.ts'
import { choose, toCandidate } from './placement.ts'
import { type Trace } from '../directory/trace.ts'
import { type DirectoryEntry, describeEntry } from '../directory/entry.ts'

/** The state that placement depends on. */
export type Placing = {
  /** whether a back end can take a user now */
  isUp: (backend: string) => boolean
  /** undefined: no user gets another back end */
  reassigning?: Reassigning
  /** maximal duration of one login, with all attempts and the directory's answers */
  loginMs: number
}

/** The state that the reassignment of the users of a back end depends on (reassignment.ts). */
export type Reassigning = {
  /** whether an operator has ordered it for this back end */
  isOrdered: (backend: string) => boolean
  /** whether a back end takes such users now: its state is `up`, and it answers */
  mayTake: (backend: string) => boolean
}

export type NewUsers = {
  /** @returns the back ends for a user without a route; undefined if that user is not placed */
  poolFor(user: string): PlacementPool | undefined
  /**
   * @param trace gets the choice; nothing is written then
   * @throws MuxError `backend-down`, `directory-unavailable`, `route-invalid`. No other back end is tried instead.
   */
  place(user: string, pool: PlacementPool, trace?: Trace): Promise<DirectoryAnswer>
}

/**
 * The key of a new user's route, in lower case. Most mail servers treat Alice and alice as one user, who would otherwise get two
 * mailboxes. Only ASCII letters change, as in mail servers.
 */
export function placedName(user: string): string {
  return user.replace(/[A-Z]/gu, (letter) => letter.toLowerCase())
}

/** @param directory that stores placements; without one no user can be placed */
export function createNewUsers(
  { domains, others }: PlacementSettings,
  directory: Directory | undefined,
  { isUp, loginMs }: Placing,
): NewUsers {
  const candidates = new Map([...domains.values(), others].map((pool) => [pool, pool?.map(toCandidate) ?? []]))

  async function ask(user: string, backend: string): Promise<DirectoryAnswer> {
    if (!directory?.reserve) throw new MuxError('directory-unavailable', 'this directory remembers no new users')
    return directory.reserve(user, backend, loginMs)
  }

  /**
   * Places a user whose last route is remembered, but whose route in the directory was deleted or evicted. The mail is on the back
   * end of that route, so that no other one may be chosen; the claim prevents that other instances choose one.
   */
  async function placeAgain(user: string, known: DirectoryEntry, trace: Trace | undefined): Promise<DirectoryAnswer> {
    const { backend, login, status } = known
    const detail = `${describeEntry(known)} (the last route)`
    trace?.({ asked: 'placement', key: user, outcome: 'found', detail })
    // A claim holds only a back end: a login name or a status must not be lost silently.
    if (login !== undefined || status !== 'active') {
      throw new MuxError(
        'directory-unavailable',
        `the directory has no route any more for a user who had one: ${detail}`,
      )
    }
    if (trace) return { entry: known, source: 'placed' }
    if (!isUp(backend)) throw new MuxError('backend-down', 'the back end of the last route of the user is down')
    const answer = await ask(user, backend)
    if (answer.source === 'placed' && answer.entry?.backend !== backend)
      throw new MuxError('directory-unavailable', 'the place of the user has changed')
    return answer
  }

  return {
    poolFor(user) {
      const domain = domainOf(user) ?? ''
      return domains.has(domain) ? domains.get(domain) : others
    },
    async place(user, pool, trace) {
      const known = directory?.lastKnown?.(user)
      if (known) return placeAgain(user, known, trace)
      const up = candidates.get(pool)?.filter(({ name }) => isUp(name)) ?? []
      const choice = choose(user, up)?.name
      trace?.({ asked: 'placement', key: user, ...describeChoice(choice, up, pool) })
      if (choice === undefined) throw new MuxError('backend-down', 'every back end that takes new users is down')
      if (trace) return { entry: { backend: choice, login: undefined, status: 'active' }, source: 'placed' }

      const first = await ask(user, choice)
      const kept = first.source === 'placed' ? first.entry?.backend : undefined
      if (kept === undefined || kept === choice) return first
      // Another instance saw other back ends and was first. To use its choice, this instance must renew the claim first.
      if (!isUp(kept)) throw new MuxError('backend-down', 'the new user is kept for a back end that is down')
      const second = await ask(user, kept)
      if (second.source === 'placed' && second.entry?.backend !== kept)
        throw new MuxError('directory-unavailable', 'the place of the new user has changed')
      return second
    },
  }
}

function describeChoice(
  choice: string | undefined,
  up: readonly { name: string; weight: number }[],
  pool: PlacementPool,
): { outcome: 'found' | 'unavailable'; detail: string } {
  if (choice === undefined) return { outcome: 'unavailable', detail: `down: ${pool.map(({ name }) => name).join(' ')}` }
  const among = up.map(({ name, weight }) => `${name}*${weight}`).join(' ')
  return { outcome: 'found', detail: `${choice} (by hash, of ${among})` }
}
