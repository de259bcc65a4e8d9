/** Who is near a limit: what the ledger counts, beside the limits of the configuration. Pure. */
import type { ClientLimitSettings, PenaltySettings, Rate } from '../config/settings.ts'
import type { ProtocolName } from '../protocol/registry.ts'
import type { LimitName } from './rejection.ts'

/** `of`: the protocol, or the listener for `max_connections`; empty for a penalty, which counts failures of all protocols. */
export type Usage = { limit: string; of: string; subject: string; count: number; most: number }

export type LimitedListener = { name: string; protocol: ProtocolName; limits: ClientLimitSettings }

/** The limits in force by limit and scope, as keys of the ledger begin; of several listeners the lowest. */
export type LimitsInForce = {
  counts: ReadonlyMap<string, number>
  rates: ReadonlyMap<string, Rate>
  penalty: PenaltySettings | undefined
}

export function limitsInForce(listeners: readonly LimitedListener[]): LimitsInForce {
  const counts = new Map<string, number>()
  const rates = new Map<string, Rate>()
  let penalty: PenaltySettings | undefined
  for (const { name, protocol, limits } of listeners) {
    const count = (limit: LimitName, scope: string, max: number | undefined): void => {
      const key = `${limit} ${scope}`
      if (max !== undefined) counts.set(key, Math.min(max, counts.get(key) ?? max))
    }
    const rate = (limit: LimitName, each: Rate | undefined): void => {
      if (each && !rates.has(`${limit} ${protocol}`)) rates.set(`${limit} ${protocol}`, each)
    }
    count('max_connections', name, limits.maxConnections)
    count('connections_per_address', protocol, limits.connectionsPerAddress)
    count('connections_per_prefix', protocol, limits.connectionsPerPrefix)
    count('sessions_per_user', protocol, limits.sessionsPerUser)
    count('sessions_per_domain', protocol, limits.sessionsPerDomain)
    count('sessions_per_backend_user', protocol, limits.sessionsPerBackendUser)
    rate('connection_rate', limits.connectionRate)
    rate('login_rate', limits.loginRate)
    rate('user_login_rate', limits.userLoginRate)
    penalty ??= limits.penalty
  }
  return { counts, rates, penalty }
}

/** @param key of the ledger. @returns its parts, and those that name the limit */
export function readKey(key: string): { head: string; limit: string; of: string; subject: string } {
  const [limit = '', of = ''] = key.split(' ', 2)
  const head = `${limit} ${of}`
  return { head, limit, of, subject: key.slice(head.length + 1) }
}

export type UsageList = { add: (usage: Usage) => void; top: () => Usage[] }

/** Keeps those that are nearest to their limits, of any number. */
export function createUsageList(most: number): UsageList {
  let kept: Usage[] = []
  const cut = (): Usage[] => (kept = kept.sort((a, b) => b.count / b.most - a.count / a.most).slice(0, most))
  return {
    add(usage) {
      if (usage.count <= 0 || usage.most <= 0) return
      kept.push(usage)
      if (kept.length >= 4 * most + 100) cut()
    },
    top: cut,
  }
}
