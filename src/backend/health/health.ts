/**
 * Whether one address of a back end serves one protocol, reckoned from what checks and logins have met there. Pure: time is given,
 * and what comes out is the same object where nothing has changed, so that a login at a healthy back end leaves nothing behind.
 */
import type { ErrorCode } from '../../errors.ts'

export type HealthRules = {
  /** checks in a row that must succeed before what is down is up again */
  rise: number
  /** failures in a row that make it down */
  fall: number
}

/** Whose login failed. `client` is its network (address-share.ts): an IPv6 client has many addresses. */
export type FailedClient = { client: string; user: string }

export type Failure = {
  by: 'check' | 'login'
  code: ErrorCode
  /** set where the back end may have known for whom the connection was, so that the failure may be about that client alone */
  client: FailedClient | undefined
}

/** What has been seen to work: a TCP connection (or TLS on it), all that comes before a login, or a login. */
export type Proof = 'connection' | 'greeting' | 'login'

export type Health = {
  readonly up: boolean
  /** when it became so */
  readonly sinceMs: number
  /** checks that have succeeded in a row, counted while down */
  readonly successes: number
  /** failures in a row that no client can have brought about */
  readonly failures: number
  /** when a failure of a login was last counted */
  readonly failedMs: number
  /** failures in a row that may be one client's own affair, and the first such client */
  readonly clientSpecificFailures: number
  readonly suspect: FailedClient | undefined
  /** somebody else, under another name and from another address, has failed too: the clientSpecificFailures ones count */
  readonly confirmed: boolean
  /** times that logins found it down since one last succeeded, whatever the checks said in between */
  readonly relapses: number
  /** what it answers that trying again or elsewhere does not mend: it is alive, and wrongly set up */
  readonly fault: ErrorCode | undefined
  readonly lastError: ErrorCode | undefined
}

/** A restart makes a whole wave of logins fail at once, which is one failure; just under the pause between two attempts of a login. */
const WAVE_MS = 900
/** The most checks in a row that are ever asked for: with the usual interval it is then tried again within three minutes. */
const MOST_RISE = 16

/** It counts as up until something else is seen: a start must not turn anybody away. */
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

/** A login that gets an answer makes it up at once; checks must be several in a row. */
export function afterSuccess(
  health: Health,
  { by, proof }: { by: 'check' | 'login'; proof: Proof },
  { rise }: HealthRules,
  nowMs: number,
): Health {
  const isSound = health.up && health.failures === 0 && health.clientSpecificFailures === 0 && health.relapses === 0
  if (isSound && health.fault === undefined) return health
  // A connection says nothing of the certificate that comes after it.
  const fault = proof === 'connection' ? health.fault : undefined
  if (by === 'login') return { ...newHealth(health.up ? health.sinceMs : nowMs), fault, lastError: health.lastError }
  // Where logins fail behind a greeting that is always there, only a login can say that they no longer do.
  if (health.up) return { ...health, failures: 0, fault, ...(proof === 'login' && FORGIVEN) }
  const successes = health.successes + 1
  if (successes < neededRise(health, rise)) return { ...health, successes, fault }
  const { relapses, lastError } = health
  return { ...newHealth(nowMs), relapses: proof === 'login' ? 0 : relapses, fault, lastError }
}

const FORGIVEN = { clientSpecificFailures: 0, suspect: undefined, confirmed: false, relapses: 0 } as const

/** Doubled for each time that logins have found it down again although the checks found nothing. */
function neededRise({ relapses }: Health, rise: number): number {
  return Math.min(rise * 2 ** Math.max(0, relapses - 1), Math.max(rise, MOST_RISE))
}

/**
 * What one client meets once the back end may know who it is may be about that client (banned there, or a broken mailbox): it counts
 * only once another has met it too.
 */
export function afterFailure(health: Health, failure: Failure, { fall }: HealthRules, nowMs: number): Health {
  const { by, code, client } = failure
  const suspect = health.suspect ?? client
  const confirmed = health.confirmed || (client !== undefined && isAnother(client, suspect))
  if (!health.up) {
    const counts = client === undefined || confirmed
    return { ...health, suspect, confirmed, lastError: code, successes: counts ? 0 : health.successes }
  }
  // Of a wave the first counts, and who else it has hit.
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

/** An answer of a back end that is alive and cannot be used: a wrong certificate, no STARTTLS. Neither up nor down by it. */
export function afterFault(health: Health, code: ErrorCode): Health {
  return health.fault === code ? health : { ...health, fault: code, lastError: code }
}

/** Two devices of one user share a broken mailbox, two users behind one address a ban. */
function isAnother(one: FailedClient, other: FailedClient | undefined): boolean {
  return other !== undefined && one.client !== other.client && one.user !== other.user
}
