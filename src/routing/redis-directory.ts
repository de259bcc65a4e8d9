/** Routes in Redis: one hash a user. Fails fast and fails closed; nothing that it reads is trusted (see also the router). */
import { Redis } from 'ioredis'
import type { DirectorySettings } from '../config/settings.ts'
import { MuxError, systemCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Directory, DirectoryEntry } from './directory.ts'

/**
 * Connects in the background: a Redis that is away does not keep mailmux from serving static users.
 * @param onUp called whenever the connection comes or goes
 */
export function openRedisDirectory(
  settings: Extract<DirectorySettings, { kind: 'redis' }>,
  log: Log,
  onUp: (up: boolean) => void,
): Directory {
  const redis = new Redis(settings.url.reveal(), {
    // A lookup that cannot be answered now is refused now: the client is told to come back, and no queue builds up behind an outage.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: settings.timeoutMs,
    connectTimeout: 2000,
    // commandTimeout leaves a dead socket in use; this one has it replaced.
    socketTimeout: Math.max(1500, 3 * settings.timeoutMs),
    enableAutoPipelining: true,
    retryStrategy: (attempt) => Math.min(50 * 2 ** attempt, 2000) + Math.floor(Math.random() * 200),
  })
  let said: string | undefined
  const connected = new Promise<void>((resolve) => redis.once('ready', resolve))
  redis.on('ready', () => {
    said = undefined
    log.info('directory connected')
    onUp(true)
  })
  redis.on('close', () => onUp(false))
  redis.on('error', (error) => {
    // One line for each new cause: an outage of an hour is one event.
    const cause = systemCode(error)
    if (cause !== said) log.error({ cause }, 'directory unavailable')
    said = cause
  })

  return {
    connected,
    async lookup(user) {
      let fields: (string | null)[]
      try {
        fields = await redis.hmget(`${settings.prefix}user:${user}`, 'backend', 'login', 'status')
      } catch (error) {
        if (error instanceof Error && error.message.startsWith('WRONGTYPE')) {
          throw new MuxError('route-invalid', 'the route in the directory is not a hash', error)
        }
        throw new MuxError('directory-unavailable', `directory lookup failed: ${systemCode(error)}`, error)
      }
      return toEntry(fields)
    },
    close: () => {
      redis.disconnect()
      return Promise.resolve()
    },
  }
}

/** @throws MuxError `route-invalid` */
function toEntry([backend = null, login = null, status = null]: readonly (string | null)[]):
  DirectoryEntry | undefined {
  if (backend === null && login === null && status === null) return undefined
  const state = status ?? 'active'
  if (state !== 'active' && state !== 'hold' && state !== 'disabled') {
    throw new MuxError('route-invalid', `the directory holds an unknown status ${JSON.stringify(state.slice(0, 40))}`)
  }
  if (backend === null) throw new MuxError('route-invalid', 'the route in the directory names no back end')
  return { backend, login: login ?? undefined, status: state }
}
