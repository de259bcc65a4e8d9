/** The limits on the clients of a listener become settings: its own keys, else the defaults of `limits`. */
import type { z } from 'zod'
import type { NetworkFiles } from '../check/networks.ts'
import type { mainSchema } from '../schema/schema.ts'
import type { AccessSettings, ClientLimitSettings } from '../settings.ts'

type Main = z.output<typeof mainSchema>
type Written = Main['listeners'][number]['limits']

/** `limits` as written, and the networks of its files. */
export type LimitSource = { limits: Written; files: NetworkFiles | undefined }

export function buildClientLimits(own: LimitSource, defaults: LimitSource): ClientLimitSettings {
  return { access: buildAccess(own, defaults) }
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
