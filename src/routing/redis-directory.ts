/** Routes in Redis: one hash a user. Fails fast and fails closed; nothing that it reads is trusted (see also the router). */
import { MuxError, systemCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { DirectoryEntry } from './directory.ts'
import { connectRedis, type RedisDirectorySettings } from './redis-connection.ts'
import { noteAnswer, type Trace } from './trace.ts'

/** The store itself, asked each time. */
export type RouteStore = {
  /** @throws MuxError `directory-unavailable`, `route-invalid` */
  read(user: string, trace?: Trace): Promise<DirectoryEntry | undefined>
  readonly connected: Promise<void>
  close(): void
}

/**
 * Connects in the background: a Redis that is away does not keep mailmux from serving static users.
 * @param onUp called whenever the connection comes or goes
 */
export function openRedisDirectory(
  settings: RedisDirectorySettings,
  log: Log,
  onUp: (up: boolean) => void,
): RouteStore {
  const redis = connectRedis(settings, {
    // commandTimeout leaves a dead socket in use; this one has it replaced.
    socketTimeout: Math.max(1500, 3 * settings.timeoutMs),
    enableAutoPipelining: true,
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

  async function readKey(key: string): Promise<DirectoryEntry | undefined> {
    let fields: (string | null)[]
    try {
      fields = await redis.hmget(key, 'backend', 'login', 'status')
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('WRONGTYPE')) {
        throw new MuxError('route-invalid', 'the route in the directory is not a hash', error)
      }
      throw new MuxError('directory-unavailable', `directory lookup failed: ${systemCode(error)}`, error)
    }
    return toEntry(fields)
  }

  return {
    connected,
    read(user, trace) {
      const key = `${settings.prefix}user:${user}`
      return trace ? noteAnswer(trace, key, readKey(key)) : readKey(key)
    },
    close: () => redis.disconnect(),
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
