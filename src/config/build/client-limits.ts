/** The limits on the clients of a listener become settings: its own keys, else the defaults of `limits`. */
import type { z } from 'zod'
import type { NetworkFiles } from '../check/networks.ts'
import { readRate } from '../schema/rate.ts'
import type { mainSchema } from '../schema/schema.ts'
import type { AccessSettings, ClientLimitSettings, PenaltySettings } from '../settings.ts'

type Main = z.output<typeof mainSchema>
type Written = Main['listeners'][number]['limits']

/** `limits` as written, and the networks of its files. */
export type LimitSource = { limits: Written; files: NetworkFiles | undefined }

/** @param own of the listener. Its `max_connections` has no default: the one of `limits` is of all listeners together. */
export function buildClientLimits(own: LimitSource, defaults: LimitSource): ClientLimitSettings {
  const of = <Key extends keyof Written>(key: Key): Written[Key] => own.limits[key] ?? defaults.limits[key]
  const rateOf = (text: string | undefined) => (text === undefined ? undefined : readRate(text))
  return {
    access: buildAccess(own, defaults),
    exempt: of('exempt') ?? [],
    maxConnections: own.limits.max_connections,
    connectionsPerAddress: of('connections_per_address'),
    connectionsPerPrefix: of('connections_per_prefix'),
    sessionsPerUser: of('sessions_per_user'),
    sessionsPerDomain: of('sessions_per_domain'),
    sessionsPerBackendUser: of('sessions_per_backend_user'),
    connectionRate: rateOf(of('connection_rate')),
    loginRate: rateOf(of('login_rate')),
    userLoginRate: rateOf(of('user_login_rate')),
    penalty: buildPenalty(of('penalty')),
  }
}

/** A penalty that is never longer than nothing is none. */
function buildPenalty(penalty: Written['penalty']): PenaltySettings | undefined {
  if (penalty === undefined || penalty.most === 0 || penalty.step === 0) return undefined
  return { after: penalty.after, stepMs: penalty.step, mostMs: penalty.most, halfLifeMs: penalty.half_life }
}

/** A list and its file are one setting: a listener that has either does not use the default of both. */
function buildAccess(own: LimitSource, defaults: LimitSource): AccessSettings {
  const allow = networksOf(own, 'allow') ?? networksOf(defaults, 'allow')
  const deny = networksOf(own, 'deny') ?? networksOf(defaults, 'deny') ?? []
  return { allow, deny }
}

function networksOf({ limits, files }: LimitSource, key: 'allow' | 'deny'): string[] | undefined {
  const [written, read] = [limits[key], files?.[key]]
  return written === undefined && read === undefined ? undefined : [...(written ?? []), ...(read ?? [])]
}
