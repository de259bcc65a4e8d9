/** The leased limits by key, and by back end. Pure. */
import type { GateUse, LeasedLimits } from '../backend/admission/gate-parts.ts'
import type { Caps, LeaseKey, Uses } from './lessor.ts'

export function leaseKey(limit: keyof LeasedLimits, backend: string): LeaseKey {
  return `${limit} ${backend}`
}

/** The configured limits. */
export function limitsOf(backends: ReadonlyMap<string, { limits: LeasedLimits }>): Map<LeaseKey, number> {
  const limits = new Map<LeaseKey, number>()
  for (const [backend, { limits: of }] of backends) {
    if (of.sessions !== undefined) limits.set(leaseKey('sessions', backend), of.sessions)
    limits.set(leaseKey('logins', backend), of.logins)
  }
  return limits
}

/** @returns the caps of each back end that has any */
export function capsByBackend(caps: Caps): Map<string, LeasedLimits> {
  const byBackend = new Map<string, LeasedLimits>()
  for (const [key, cap] of caps) {
    const end = key.indexOf(' ')
    const [limit, backend] = [key.slice(0, end), key.slice(end + 1)]
    const known = byBackend.get(backend) ?? { sessions: undefined, logins: 0 }
    byBackend.set(backend, { ...known, [limit]: cap })
  }
  return byBackend
}

/** A login that waits may need either of them. */
export function usesByKey(byBackend: ReadonlyMap<string, GateUse>): Uses {
  const uses = new Map<LeaseKey, { used: number; waiting: number }>()
  for (const [backend, { sessions, logins, waiting }] of byBackend) {
    uses.set(leaseKey('sessions', backend), { used: sessions, waiting })
    uses.set(leaseKey('logins', backend), { used: logins, waiting })
  }
  return uses
}
