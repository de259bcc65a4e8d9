/**
 * The penalty for failed logins: a delay of the next login that grows with each failure and fades by itself. A success does not shorten it,
 * or one good account would clear it for a guesser. A user whose password is guessed from elsewhere is not delayed at the networks that have logged
 * that user in before: there only the failures of that user from that network count.
 */
import type { PenaltySettings } from '../config/settings.ts'
import { BoundedTable } from './bounded-table.ts'
import type { Attempt } from './ledger.ts'

/** The networks, sites, users, and pairs of both with failures that are remembered, each. With the known users 65 MB, measured. */
const MOST_SCORES = 100_000
/** The users whose networks are remembered. */
const MOST_USERS = 100_000
/** The networks that are remembered for one user. A bound, so that one account cannot displace the networks of others. */
const MOST_NETWORKS = 16
/** A site (an IPv6 /48) has up to 65,536 networks, and may be a whole provider's: it is delayed after ten times the failures. */
const SITE_FACTOR = 10

type Score = { value: number; atMs: number }

/** The failures of one subject, as they were `ageMs` ago. */
export type SavedScore = { of: 'networks' | 'sites' | 'users' | 'pairs'; key: string; value: number; ageMs: number }
export type KnownUser = { user: string; networks: readonly string[] }

export type Penalty = {
  /** how long the login has to wait */
  delayMs(attempt: Attempt): number
  noteFailure(attempt: Attempt): void
  /** The user has logged in from this network. */
  noteSuccess(user: string, network: string): void
  isKnown(user: string, network: string): boolean
  /** The failures of networks and of users that are not forgotten. */
  scores(penalty: PenaltySettings): Generator<{ subject: string; failures: number }>
  /** For another process. */
  saveScores(): Generator<SavedScore>
  loadScore(score: SavedScore): void
  saveKnown(): Generator<KnownUser>
  loadKnown(known: KnownUser): void
}

export function createPenalty(nowMs: () => number, most = MOST_SCORES): Penalty {
  const networks = new BoundedTable<Score>(most)
  const sites = new BoundedTable<Score>(most)
  const users = new BoundedTable<Score>(most)
  const pairs = new BoundedTable<Score>(most)
  const tables = { networks, sites, users, pairs }
  const known = new BoundedTable<readonly string[]>(Math.min(most, MOST_USERS))

  const isKnown = (user: string, network: string): boolean => known.get(user)?.includes(network) ?? false

  function valueOf(score: Score | undefined, { halfLifeMs }: PenaltySettings): number {
    return score === undefined ? 0 : score.value * 0.5 ** ((nowMs() - score.atMs) / halfLifeMs)
  }

  function add(table: BoundedTable<Score>, key: string, penalty: PenaltySettings): void {
    table.set(key, { value: valueOf(table.get(key), penalty) + 1, atMs: nowMs() })
  }

  function delayOf(score: Score | undefined, penalty: PenaltySettings, factor = 1): number {
    const beyond = valueOf(score, penalty) - penalty.after * factor
    return beyond <= 0 ? 0 : Math.min(penalty.mostMs, (penalty.stepMs * beyond) / factor)
  }

  return {
    delayMs({ network, site, user, penalty }) {
      if (user !== undefined && isKnown(user, network)) return delayOf(pairs.get(pairKey(user, network)), penalty)
      return Math.max(
        delayOf(networks.get(network), penalty),
        site === undefined ? 0 : delayOf(sites.get(site), penalty, SITE_FACTOR),
        user === undefined ? 0 : delayOf(users.get(user), penalty),
      )
    },
    noteFailure({ network, site, user, penalty }) {
      add(networks, network, penalty)
      if (site !== undefined) add(sites, site, penalty)
      if (user === undefined) return
      add(users, user, penalty)
      if (isKnown(user, network)) add(pairs, pairKey(user, network), penalty)
    },
    noteSuccess(user, network) {
      const before = known.get(user) ?? []
      const isFirst = before[0] === network
      // Set anew in any case, or the table would forget a user who logs in each minute.
      known.set(user, isFirst ? before : [network, ...before.filter((one) => one !== network)].slice(0, MOST_NETWORKS))
    },
    isKnown,
    *scores(penalty) {
      for (const table of [networks, users])
        for (const subject of table.keys()) yield { subject, failures: valueOf(table.get(subject), penalty) }
    },
    *saveScores() {
      for (const name of ['networks', 'sites', 'users', 'pairs'] as const)
        for (const [key, { value, atMs }] of tables[name].entries())
          yield { of: name, key, value, ageMs: nowMs() - atMs }
    },
    loadScore: ({ of, key, value, ageMs }) => tables[of].set(key, { value, atMs: nowMs() - ageMs }),
    *saveKnown() {
      for (const [user, networks] of known.entries()) yield { user, networks }
    },
    loadKnown: ({ user, networks }) => known.set(user, networks),
  }
}

function pairKey(user: string, network: string): string {
  return `${network} ${user}`
}
