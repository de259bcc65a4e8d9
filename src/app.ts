/** The composition root of one worker: builds every room from the settings, in the order of a connection's way, and takes them down again. */
import { buildAdmin, openAdmin } from './admin/admin.ts'
import type { Settings } from './config/settings.ts'
import { openListeners } from './listener/listener.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics/metrics.ts'
import { createRelays } from './relay/relay.ts'
import { openRedisDirectory } from './routing/redis-directory.ts'
import { createSessions } from './session/sessions.ts'
import { version } from './version.ts'
import { buildWorld } from './world.ts'

/** How often silent relays are looked for. Idle limits are minutes; a second also makes a shutdown prompt. */
const SWEEP_MS = 1000

export type App = {
  /** Stops accepting, lets sessions come to an end, and closes everything. */
  stop(): Promise<void>
}

/** @throws Error with a message for the operator; nothing is left open then */
export async function startApp(settings: Settings, warnings: readonly string[]): Promise<App> {
  const log = createLog(settings.log)
  const metrics = createMetrics(version)
  for (const warning of warnings) log.warn({ warning }, 'configuration')

  const directory =
    settings.directory.kind === 'redis' ? openRedisDirectory(settings.directory, log, metrics.directoryIsUp) : undefined
  const world = buildWorld(settings, directory, version)
  metrics.configurationLoaded(settings, world.certificates?.expiries ?? [], new Date())

  const relays = createRelays()
  const sessions = createSessions(() => world, { relays, metrics, log })
  const sweep = setInterval(() => relays.sweep(performance.now()), SWEEP_MS)

  let notReady: string | undefined = 'starting'
  let closeAdmin: (() => void) | undefined
  const closeRest = async (): Promise<void> => {
    clearInterval(sweep)
    closeAdmin?.()
    await directory?.close()
  }
  try {
    if (settings.admin) closeAdmin = await openAdmin(buildAdmin({ notReady: () => notReady, metrics }), settings.admin)
    const listeners = await openListeners(settings.listeners, (socket, listener) => sessions.accept(socket, listener))
    notReady = undefined
    log.info({ version, listeners: listeners.addresses }, 'ready')
    return {
      async stop() {
        notReady = 'shutting down'
        log.info({ sessions: sessions.count() }, 'shutting down')
        listeners.close()
        await sessions.drain(settings.limits.shutdownGraceMs)
        await closeRest()
        log.info('stopped')
      },
    }
  } catch (error) {
    await closeRest()
    throw error
  }
}
