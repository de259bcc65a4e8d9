/** What a command opens that works in Redis itself: the configuration, and a connection to the directory. */
import { loadConfig } from '../config/load.ts'
import type { RedisSettings, Settings } from '../config/settings.ts'
import { formatProblem } from '../config/yaml/problems.ts'
import type { Environment } from '../config/yaml/variables.ts'
import { openRedisClient, type RedisClient } from '../directory/redis/client.ts'
import { mayPass } from '../directory/redis/errors.ts'
import type { Log } from '../log.ts'
import { resolvesWithin } from '../move/step.ts'
import { systemClock } from '../move/system-clock.ts'

/** Cannot be opened, in words for the operator. */
export class NotOpened extends Error {
  /** the same command may succeed later */
  readonly isTemporary: boolean

  constructor(why: string, { isTemporary = false }: { isTemporary?: boolean } = {}) {
    super(why)
    this.isTemporary = isTemporary
  }
}

/** A look-up of a name takes up to 5 seconds, and a login to Redis up to 2 more. */
export const CONNECT_MS = 7000

export type RedisSite = {
  settings: Settings
  redis: RedisClient
  redisSettings: RedisSettings
  close: () => void
}

/** @param why the directory has to be Redis, for the operator. @throws NotOpened */
export async function openRedisSite(config: string, env: Environment, why: string): Promise<RedisSite> {
  const settings = readSettings(config, env)
  const { directory } = settings
  if (directory.kind !== 'redis') throw new NotOpened(why)
  let cause = 'no answer'
  const redis = openRedisClient(
    directory,
    causeLog((text) => (cause = text)),
    () => undefined,
  )
  if (!(await resolvesWithin(systemClock, CONNECT_MS, redis.connected))) {
    redis.close()
    throw new NotOpened(`Redis: ${cause}`, { isTemporary: mayPass(cause) })
  }
  return { settings, redis, redisSettings: directory, close: () => redis.close() }
}

/** @throws NotOpened with all errors of the configuration */
export function readSettings(config: string, env: Environment): Settings {
  const { settings, problems, more } = loadConfig(config, env)
  if (settings) return settings
  const lines = problems.filter(({ severity }) => severity === 'error').flatMap(formatProblem)
  if (more.error > 0) lines.push(`and ${more.error} more errors`)
  throw new NotOpened(lines.join('\n'))
}

/** Keeps the cause that the client of Redis logs, which is in words for operators. */
export function causeLog(note: (cause: string) => void): Log {
  const keep = (fields: unknown): void => {
    if (typeof fields === 'object' && fields !== null && 'cause' in fields) note(String(fields.cause))
  }
  return { debug: () => undefined, info: () => undefined, warn: () => undefined, error: keep }
}
