/** Limits on clients that contradict each other, or have no effect. */
import type { Path, Reporter } from '../schema/read.ts'
import type { Listener, Main } from './drafts.ts'
import { checkNetworks } from './networks.ts'

type Limits = NonNullable<Listener['limits']>
type CountKey =
  | 'max_connections'
  | 'connections_per_address'
  | 'connections_per_prefix'
  | 'sessions_per_user'
  | 'sessions_per_backend_user'
  | 'sessions_per_domain'

/** Each with the wider limits that it lies in, the closest first. */
const WIDER: Partial<Record<CountKey, readonly CountKey[]>> = {
  connections_per_address: ['connections_per_prefix', 'max_connections'],
  connections_per_prefix: ['max_connections'],
  sessions_per_user: ['sessions_per_domain', 'max_connections'],
  sessions_per_backend_user: ['max_connections'],
  sessions_per_domain: ['max_connections'],
}

/** Those that a login is needed for. */
const OF_LOGINS = [
  'login_rate',
  'sessions_per_user',
  'sessions_per_domain',
  'sessions_per_backend_user',
  'user_login_rate',
  'penalty',
] as const

export function checkClientLimits(main: Main, report: Reporter): void {
  const { admin, limits: defaults = {}, listeners = [] } = main
  checkNetworks(defaults, ['limits'], admin?.listen, report)
  checkPenalty(defaults.penalty, ['limits'], report)
  checkCounts(defaults, {}, ['limits'], undefined, report)
  listeners.forEach((listener, index) => {
    const own = listener?.limits
    if (own === undefined) return
    const at: Path = ['listeners', index, 'limits']
    checkNetworks(own, at, admin?.listen, report)
    checkPenalty(own.penalty, at, report)
    checkCounts(own, defaults, at, defaults.max_connections, report)
    if (listener?.tls !== 'passthrough') return
    for (const key of OF_LOGINS) {
      if (own[key] !== undefined)
        report.error([...at, key], 'does nothing with tls: passthrough: no login is seen here', 'key')
    }
  })
}

/** @param all `max_connections` of all listeners together */
function checkCounts(own: Limits, defaults: Limits, at: Path, all: number | undefined, report: Reporter): void {
  for (const [key, wider] of Object.entries(WIDER) as [CountKey, readonly CountKey[]][]) {
    const value = own[key]
    if (value === undefined) continue
    const lower = wider.find((one) =>
      isBelow(own[one] ?? (one === 'max_connections' ? undefined : defaults[one]), value),
    )
    if (lower !== undefined) {
      const max = own[lower] ?? defaults[lower]
      report.error([...at, key], `is never reached: ${lower} is ${max ?? 0}`)
    } else if (isBelow(all, value))
      report.error([...at, key], `is never reached: limits.max_connections is ${all ?? 0}`)
  }
  if (own.max_connections !== undefined && isBelow(all, own.max_connections))
    report.error([...at, 'max_connections'], `is never reached: limits.max_connections is ${all ?? 0}`)
}

function isBelow(max: number | undefined, value: number): boolean {
  return max !== undefined && max < value
}

function checkPenalty(penalty: Limits['penalty'], at: Path, report: Reporter): void {
  const { step, most } = penalty ?? {}
  if (step !== undefined && most !== undefined && step > most && most > 0)
    report.error([...at, 'penalty', 'step'], 'is more than most: the first delay would be the longest already')
}
