/** What a command opens that moves users: the configuration, Redis and the instances. It serves no one and has no heartbeat. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { effectiveState } from '../backend/state.ts'
import type { BackendState, RedisSettings, Settings } from '../config/settings.ts'
import type { Environment } from '../config/yaml/variables.ts'
import { BACKEND_STATE_FIELDS, backendKey, readStoredState } from '../directory/redis/backend-state.ts'
import { openRedisClient, type RedisClient } from '../directory/redis/client.ts'
import { mayPass } from '../directory/redis/errors.ts'
import { createMoveStore, type MoveStore } from '../directory/redis/move-store.ts'
import { HEARTBEAT_SECONDS } from '../instances/exchange.ts'
import { redisExchange } from '../instances/redis-exchange.ts'
import { openFleet, type OpenFleet } from '../move/fleet.ts'
import { DEFAULT_DEADLINES, type MoveParts } from '../move/move-user.ts'
import { resolvesWithin } from '../move/step.ts'
import { systemClock } from '../move/system-clock.ts'
import { causeLog, CONNECT_MS, NotOpened, readSettings } from './redis-site.ts'

export type MoveSite = {
  settings: Settings
  redis: RedisClient
  redisSettings: RedisSettings
  store: MoveStore
  fleet: OpenFleet
  /** The state in effect of a back end. @throws Error if Redis gives none, or holds a state that there is none of */
  stateOf: (backend: string) => Promise<BackendState>
  /** the parts that all moves of this process share */
  shared: Pick<MoveParts, 'store' | 'fleet' | 'fleetRules' | 'settleMs' | 'deadlines' | 'clock' | 'by'>
  close: () => void
}

export type SiteOptions = {
  config: string
  /** what the operator says of instances without a heartbeat: that they have ended */
  assumeDead: boolean
  /** no instance runs */
  offline: boolean
  /** undefined: the default, which depends on `delivery` */
  settleMs: number | undefined
}

/**
 * The queue manager of Postfix remembers the answer for its last recipient for 30 s. A message that it has taken from the queue by that
 * answer is delivered within the next seconds.
 */
const SETTLE_MS = 35_000
/** A session ends by `end_timeout`, and a login that is on its way by `backend_timeout`. This much is left for questions and answers. */
const QUESTIONS_MS = 30_000

/** @throws NotOpened */
export async function openMoveSite(options: SiteOptions, env: Environment): Promise<MoveSite> {
  const settings = readSettings(options.config, env)
  const { directory, limits, delivery } = settings
  if (directory.kind !== 'redis')
    throw new NotOpened('the routes are not in Redis: `directory.redis` is what users are moved in')
  let cause = 'no answer'
  const redis = openRedisClient(
    directory,
    causeLog((text) => (cause = text)),
    () => undefined,
  )
  const exchange = redisExchange({
    settings: directory,
    current: () => directory,
    log: causeLog(() => undefined),
    noteShortage: () => undefined,
  })
  const fleet = openFleet(hostname(), randomBytes(6).toString('hex'), exchange)
  const close = (): void => {
    redis.close()
    fleet.close()
  }
  const opened = Promise.all([redis.connected, fleet.listening])
  if (!(await resolvesWithin(systemClock, CONNECT_MS, opened))) {
    close()
    throw new NotOpened(`Redis: ${cause}`, { isTemporary: mayPass(cause) })
  }
  const store = createMoveStore(redis, directory.prefix)
  const deadAfterMs = options.assumeDead ? HEARTBEAT_SECONDS * 1000 + limits.backendTimeoutMs : Infinity
  const endMs = limits.endTimeoutMs + limits.backendTimeoutMs + QUESTIONS_MS
  return {
    settings,
    redis,
    redisSettings: directory,
    store,
    fleet,
    async stateOf(backend) {
      const fields = await redis.hmget(backendKey(directory.prefix, backend), ...BACKEND_STATE_FIELDS)
      const stored = readStoredState(fields)
      if (stored && 'wrong' in stored) throw new Error(`${backend} in the directory: ${stored.wrong}`)
      return effectiveState(settings.routing.backends.get(backend)?.state ?? 'up', stored).state
    },
    shared: {
      store,
      fleet,
      fleetRules: { deadAfterMs, isOffline: options.offline },
      settleMs: options.settleMs ?? (delivery ? SETTLE_MS : 0),
      deadlines: {
        ...DEFAULT_DEADLINES,
        end: Math.max(endMs, deadAfterMs === Infinity ? 0 : deadAfterMs + QUESTIONS_MS),
      },
      clock: systemClock,
      by: `${hostname()}/${process.pid}`,
    },
    close,
  }
}

/** 32 hex digits that no other move has. */
export function newToken(): string {
  return randomBytes(16).toString('hex')
}
