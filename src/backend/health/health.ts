/**
 * Health of one address of a back end for one protocol, derived from the results of checks and logins. Pure: the caller gives the
 * time. An unchanged result is the same object, so that a login at a healthy back end allocates nothing.
 */
import type { ErrorCode } from '../../errors.ts'

export type HealthRules = {
  /** successful checks in a row after which a down address is up again */
  rise: number
  /** failures in a row after which an address is down */
  fall: number
}

/** The client of a failed login. `client` is its network (address-share.ts): an IPv6 client has many addresses. */
export type FailedClient = { client: string; user: string }

export type Failure = {
  by: 'check' | 'login'
  code: ErrorCode
  /** set if the back end may have known the client: the failure may then concern that client alone */
  client: FailedClient | undefined
}

/** The last step that succeeded: a TCP connection (or TLS on it), the greeting and all other steps before a login, or a login. */
export type Proof = 'connection' | 'greeting' | 'login'

export type Health = {
  readonly up: boolean
  /** time of the last change of `up` */
  readonly sinceMs: number
  /** successful checks in a row, counted while down */
  readonly successes: number
  /** failures in a row that no client can have caused */
  readonly failures: number
  /** time of the last counted failure of a login */
  readonly failedMs: number
  /** failures in a row that may concern one client alone; `suspect` is the first such client */
  readonly clientSpecificFailures: number
  readonly suspect: FailedClient | undefined
  /** a login of another user from another network has failed too: `clientSpecificFailures` count */
  readonly confirmed: boolean
  /** times that failed logins have made the address down since the last successful login */
  readonly relapses: number
  /** the error of a back end that answers and is misconfigured: a retry, or another address, does not help */
  readonly fault: ErrorCode | undefined
  readonly lastError: ErrorCode | undefined
}

/** Failures of logins within this time count once: a restart makes many logins fail together. Just under the pause between two attempts. */
const WAVE_MS = 900
/** Upper bound of the successful checks in a row that are required: under three minutes with the default interval. */
const MOST_RISE = 16

/** An address is up until a failure is seen, so that no login is refused after a start. */
export function newHealth(nowMs: number): Health {
  return {
    up: true,
    sinceMs: nowMs,
    successes: 0,
    failures: 0,
    failedMs: -Infinity,
    clientSpecificFailures: 0,
    suspect: undefined,
    confirmed: false,
    relapses: 0,
    fault: undefined,
    lastError: undefined,
  }
}

/** An answered login makes the address up at once. Checks must succeed several times in a row. */
export function afterSuccess(
  health: Health,
  { by, proof }: { by: 'check' | 'login'; proof: Proof },
  { rise }: HealthRules,
  nowMs: number,
): Health {
  const isSound = health.up && health.failures === 0 && health.clientSpecificFailures === 0 && health.relapses === 0
  if (isSound && health.fault === undefined) return health
  // A connection does not prove the certificate that follows it.
  const fault = proof === 'connection' ? health.fault : undefined
  if (by === 'login') return { ...newHealth(health.up ? health.sinceMs : nowMs), fault, lastError: health.lastError }
  // Logins can fail behind a greeting that works. Only a login proves that logins work again.
  if (health.up) return { ...health, failures: 0, fault, ...(proof === 'login' && FORGIVEN) }
  const successes = health.successes + 1
  if (successes < neededRise(health, rise)) return { ...health, successes, fault }
  const { relapses, lastError } = health
  return { ...newHealth(nowMs), relapses: proof === 'login' ? 0 : relapses, fault, lastError }
}

const FORGIVEN = { clientSpecificFailures: 0, suspect: undefined, confirmed: false, relapses: 0 } as const

/** Doubled for each further relapse: failed logins have made the address down again although its checks succeeded. */
function neededRise({ relapses }: Health, rise: number): number {
  return Math.min(rise * 2 ** Math.max(0, relapses - 1), Math.max(rise, MOST_RISE))
}

/**
 * Once the back end may know the client, a failure may concern that client alone (a ban, or a broken mailbox). Such failures count
 * only after a login of another client has failed too.
 */
export function afterFailure(health: Health, failure: Failure, { fall }: HealthRules, nowMs: number): Health {
  const { by, code, client } = failure
  const suspect = health.suspect ?? client
  const confirmed = health.confirmed || (client !== undefined && isAnother(client, suspect))
  if (!health.up) {
    const counts = client === undefined || confirmed
    return { ...health, suspect, confirmed, lastError: code, successes: counts ? 0 : health.successes }
  }
  // Of failures within `WAVE_MS` the first counts; the others only show whether other clients are affected.
  if (by === 'login' && nowMs - health.failedMs < WAVE_MS) return { ...health, suspect, confirmed, lastError: code }
  const failures = health.failures + (client === undefined ? 1 : 0)
  const clientSpecificFailures = health.clientSpecificFailures + (client === undefined ? 0 : 1)
  const failedMs = by === 'login' ? nowMs : health.failedMs
  const { fault } = health
  const relapses = health.relapses
  if (failures + (confirmed ? clientSpecificFailures : 0) < fall) {
    return { ...health, failures, clientSpecificFailures, suspect, confirmed, failedMs, lastError: code }
  }
  return { ...newHealth(nowMs), up: false, relapses: by === 'login' ? relapses + 1 : relapses, fault, lastError: code }
}

/** The back end answers and cannot be used: a wrong certificate, no STARTTLS. The fault changes neither up nor down. */
export function afterFault(health: Health, code: ErrorCode): Health {
  return health.fault === code ? health : { ...health, fault: code, lastError: code }
}

/** Two devices of one user share a broken mailbox, and two users behind one address share a ban. Both must differ. */
function isAnother(one: FailedClient, other: FailedClient | undefined): boolean {
  return other !== undefined && one.client !== other.client && one.user !== other.user
}
