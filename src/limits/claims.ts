/** Which limits a connection, a login and a session have to keep, as questions to the ledger. Pure. */
import type { ClientLimitSettings } from '../config/settings.ts'
import { networkOf, siteOf } from '../net/address.ts'
import type { Attempt, Claims, CountClaim, LoginQuestion, Origin, RateClaim, SessionQuestion } from './ledger.ts'
import type { ConnectionFacts, LoginFacts, SessionFacts } from './facts.ts'
import type { ListenerLimits } from './listener-limits.ts'
import type { LimitName } from './rejection.ts'

/**
 * Counts and rates are of one protocol over all of its listeners that have the limit: a user's POP3 client must not take the place of the
 * IMAP clients. Spaces part the fields of a key, since no protocol, listener or network has one.
 */
function keyOf(limit: LimitName, scope: string, subject: string): string {
  return `${limit} ${scope} ${subject}`
}

function pushCount(
  into: CountClaim[],
  limit: LimitName,
  max: number | undefined,
  scope: string,
  subject: string,
): void {
  if (max !== undefined) into.push({ limit, key: keyOf(limit, scope, subject), max })
}

function pushRate(
  into: RateClaim[],
  limit: LimitName,
  rate: ClientLimitSettings['loginRate'],
  scope: string,
  subject: string,
): void {
  if (rate !== undefined) into.push({ limit, key: keyOf(limit, scope, subject), rate })
}

/** @returns undefined where the listener limits no connections */
export function connectionClaims({ protocol, listener, address, limits }: ConnectionFacts): Claims | undefined {
  if (!limits?.limitsConnections) return undefined
  const { settings, isExempt } = limits
  const counts: CountClaim[] = []
  const rates: RateClaim[] = []
  pushCount(counts, 'max_connections', settings.maxConnections, listener, '')
  if (isExempt(address)) return { counts, rates }
  const { network, site } = originOf(address)
  pushCount(counts, 'connections_per_address', settings.connectionsPerAddress, protocol, network)
  if (site !== undefined) pushCount(counts, 'connections_per_prefix', settings.connectionsPerPrefix, protocol, site)
  pushRate(rates, 'connection_rate', settings.connectionRate, protocol, network)
  return { counts, rates }
}

/** @returns undefined where the listener limits no logins */
export function loginQuestion(facts: LoginFacts): LoginQuestion | undefined {
  const { protocol, address, limits, user } = facts
  if (!limits?.limitsLogins) return undefined
  const { settings, isExempt } = limits
  const rates: RateClaim[] = []
  const { network } = originOf(address)
  if (!isExempt(address)) pushRate(rates, 'login_rate', settings.loginRate, protocol, network)
  const ifKnown = user === undefined ? NO_CLAIMS : userClaims(limits, protocol, user)
  return { rates, ifKnown: { ...ifKnown, network, user: user ?? '' }, attempt: attemptOf(facts) }
}

/** @returns undefined where the listener has no penalty, or none for this address */
export function attemptOf({ address, limits, user }: LoginFacts): Attempt | undefined {
  const penalty = limits?.settings.penalty
  if (!penalty || limits.isExempt(address)) return undefined
  return { ...originOf(address), user, penalty }
}

/** @returns undefined where the listener limits no logins */
export function sessionQuestion(facts: SessionFacts): SessionQuestion | undefined {
  const { protocol, address, limits, user, backend, mailbox } = facts
  if (!limits?.limitsLogins) return undefined
  const { sessionsPerDomain, sessionsPerBackendUser } = limits.settings
  const known = user === undefined ? undefined : { user, network: networkOf(address) }
  const { counts, rates } = user === undefined ? NO_CLAIMS : userClaims(limits, protocol, user)
  const all = [...counts]
  const domain = user?.split('@')[1]
  if (domain !== undefined) pushCount(all, 'sessions_per_domain', sessionsPerDomain, protocol, domain)
  pushCount(all, 'sessions_per_backend_user', sessionsPerBackendUser, protocol, `${backend} ${mailbox}`)
  return { counts: all, rates, known }
}

const NO_CLAIMS: Claims = { counts: [], rates: [] }

function userClaims({ settings }: ListenerLimits, protocol: string, user: string): Claims {
  const counts: CountClaim[] = []
  const rates: RateClaim[] = []
  pushCount(counts, 'sessions_per_user', settings.sessionsPerUser, protocol, user)
  pushRate(rates, 'user_login_rate', settings.userLoginRate, protocol, user)
  return { counts, rates }
}

function originOf(address: string): Origin {
  const network = networkOf(address)
  return { network, site: siteOf(network) }
}
