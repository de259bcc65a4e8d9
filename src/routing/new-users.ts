/**
 * Users whom nobody knows yet: who of them may be placed, and where. The choice is a pure one (placement.ts) among the back ends that
 * are up; the directory's first word on it counts for every instance (directory/redis/claims.ts says why no user is ever in two places).
 */
import type { PlacementPool, PlacementSettings } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { Directory, DirectoryAnswer } from '../directory/directory.ts'
import { domainOf } from './identity.ts'
import { choose, toCandidate } from './placement.ts'
import { type Trace } from '../directory/trace.ts'
import { type DirectoryEntry, describeEntry } from '../directory/entry.ts'

/** What placement wants to know of the moment. */
export type Placing = {
  /** whether a back end can take a user now */
  isUp: (backend: string) => boolean
  /** how long one login may take, all attempts and the directory's answers included */
  loginMs: number
}

export type NewUsers = {
  /** @returns the back ends that a user without a route may be placed on; undefined: that user is not placed */
  poolFor(user: string): PlacementPool | undefined
  /**
   * @param trace hears what would be chosen; nothing is written then
   * @throws MuxError `backend-down`, `directory-unavailable`, `route-invalid`. Never is another back end tried instead.
   */
  place(user: string, pool: PlacementPool, trace?: Trace): Promise<DirectoryAnswer>
}

/**
 * The name that a new user is placed under. Most mail servers take Alice and alice for one person; placed by what they type, that
 * person would have two mailboxes. ASCII alone, as mail servers do it.
 */
export function placedName(user: string): string {
  return user.replace(/[A-Z]/gu, (letter) => letter.toLowerCase())
}

/** @param directory undefined where there is none that remembers; nobody can be placed then */
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
   * The directory has no route any more for a user whose last one is remembered: it was deleted, or forgotten. The mail is where that
   * one led, so that no other back end may be chosen; the claim keeps other instances from choosing one.
   */
  async function placeAgain(user: string, known: DirectoryEntry, trace: Trace | undefined): Promise<DirectoryAnswer> {
    const { backend, login, status } = known
    const detail = `${describeEntry(known)} (the last route)`
    trace?.({ asked: 'placement', key: user, outcome: 'found', detail })
    // More than a back end cannot be claimed, and is not to be lost in silence.
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
      // Another instance sees other back ends, and was first. Where this one would go there too it must say so before it does.
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
