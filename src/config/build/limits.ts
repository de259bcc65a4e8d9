/** `limits` of the main file become settings. */
import type { z } from 'zod'
import { eachProtocol } from '../../protocol/registry.ts'
import type { mainSchema } from '../schema/schema.ts'
import type { LimitSettings } from '../settings.ts'

type Main = z.output<typeof mainSchema>

export function buildLimits(limits: Main['limits']): LimitSettings {
  return {
    maxConnections: limits.max_connections,
    maxLineBytes: limits.max_line,
    loginTimeoutMs: limits.login_timeout,
    maxBadCommands: limits.max_bad_commands,
    maxWrongPasswords: limits.max_wrong_passwords,
    failureDelayMs: limits.failure_delay,
    backendTimeoutMs: limits.backend_timeout,
    idleMs: eachProtocol((_, name) => limits[`idle_${name}`]),
    endTimeoutMs: limits.end_timeout,
    spreadDisconnectsMs: limits.spread_disconnects,
    shutdownGraceMs: limits.shutdown_grace,
  }
}
