/** Connections to Redis: the one place that makes them, with the settings under which a lookup fails fast. */
import { Redis } from 'ioredis'
import type { DirectorySettings } from '../config/settings.ts'

export type RedisDirectorySettings = Extract<DirectorySettings, { kind: 'redis' }>

/** What tells the connections apart; as in ioredis. */
type ConnectionOptions = {
  protocol?: 2
  socketTimeout?: number
  enableAutoPipelining?: boolean
  autoResubscribe?: boolean
}

/** Connects in the background, again and again. The caller listens to `error` and disconnects. */
export function connectRedis(settings: RedisDirectorySettings, options: ConnectionOptions): Redis {
  return new Redis(settings.url.reveal(), {
    // What cannot be answered now is refused now: clients are told to come back, and no queue builds up behind an outage.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: settings.timeoutMs,
    connectTimeout: 2000,
    // A herd of instances must not come back to a Redis in one moment.
    retryStrategy: (attempt) => Math.min(50 * 2 ** attempt, 2000) + Math.floor(Math.random() * 200),
    ...options,
  })
}
