/** The composition root of one worker: builds every room from the settings, in the order of a connection's way, and takes them down again. */
import { randomBytes } from 'node:crypto'
import { buildAdmin, openAdmin } from './admin/admin.ts'
import type { ApiParts } from './admin/api.ts'
import { createAdmissions, type Admissions } from './backend/admission.ts'
import { createCapabilityBook } from './backend/capabilities.ts'
import { createLiveBackends, type LiveBackends } from './backend/live-backends.ts'
import { startProber } from './backend/prober.ts'
import { findRestartNeeds, withBoundListeners } from './config/changes.ts'
import type { LoadResult } from './config/load.ts'
import { formatProblem } from './config/problems.ts'
import type { Settings } from './config/settings.ts'
import { watchFiles } from './config/watch.ts'
import { systemCode } from './errors.ts'
import { openListeners } from './listener/listener.ts'
import { createLog, type Log } from './log.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import { createRelays } from './relay/relay.ts'
import type { Directory } from './routing/directory.ts'
import { openDirectory } from './routing/open-directory.ts'
import { createRefusalNotes } from './routing/route-invalid.ts'
import { askBackend } from './session/ask-backend.ts'
import { reportBackend } from './session/backend-report.ts'
import { explain } from './session/explain.ts'
import { createOffers } from './session/offer.ts'
import { createRefusalPace } from './session/refusal-pace.ts'
import type { Services } from './session/serve.ts'
import { createSessions } from './session/sessions.ts'
import { tryOut } from './session/trial.ts'
import { version } from './version.ts'
import { buildWorld, type World } from './world.ts'

/** How often silent relays are looked for. Idle limits are minutes; a second also makes a shutdown prompt. */
const SWEEP_MS = 1000
/** How long the first connections wait for the directory and the back ends to be heard of; mailmux serves without them too. */
const PATIENCE_MS = 2000

export type App = {
  /** Reads the files again and takes over what is right; what is wrong changes nothing and is logged. */
  reload: () => void
  /** Stops accepting, lets sessions come to an end, and closes everything. */
  stop(): Promise<void>
}

/**
 * @param loaded a configuration without errors
 * @param load reads it again
 * @throws Error with a message for the operator; nothing is left open then
 */
export async function startApp(settings: Settings, loaded: LoadResult, load: () => LoadResult): Promise<App> {
  const log = createLog(settings.log)
  const metrics = createMetrics(version)
  const directory = openDirectory(settings.directory, log, metrics.directoryIsUp)
  if (!directory) metrics.directoryIsUp(true)

  const admissions = createAdmissions({ log, loginWaited: metrics.loginWaited })
  metrics.watchGates(admissions.describe)
  const backends = createLiveBackends({ log, metrics, onLost: admissions.lost, onRecovered: admissions.recovered })
  const worlds = createWorlds(settings, loaded, { load, directory, backends, admissions, log, metrics })
  const book = createCapabilityBook(log)
  const prober = startProber({
    backends: () => worlds.current().backends,
    live: backends,
    ask: askBackend,
    book,
    log,
    metrics,
  })
  const relays = createRelays()
  const services: Services = {
    relays,
    metrics,
    log,
    backends,
    pace: createRefusalPace(),
    admissions,
    offer: createOffers(book),
  }
  const sessions = createSessions(worlds.current, services)
  const sweep = setInterval(() => relays.sweep(performance.now()), SWEEP_MS)

  let notReady: string | undefined = 'starting'
  let closeAdmin: (() => void) | undefined
  const closeRest = async (): Promise<void> => {
    clearInterval(sweep)
    prober.stop()
    worlds.close()
    backends.close()
    closeAdmin?.()
    await directory?.close()
  }
  try {
    const api = buildApiParts(settings, worlds.current, services)
    const admin = buildAdmin({ notReady: () => notReady, metrics, api, log })
    if (settings.admin) closeAdmin = await openAdmin(admin, settings.admin)
    await withPatience([prober.probeAll(), directory?.connected ?? Promise.resolve()])
    const listeners = await openListeners(settings.listeners, sessions.accept)
    notReady = undefined
    log.info({ version, listeners: listeners.addresses }, 'ready')
    return {
      reload: worlds.reload,
      async stop() {
        notReady = 'shutting down'
        log.info({ sessions: sessions.count() }, 'shutting down')
        listeners.close()
        admissions.close()
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

/** What the API asks, of the world in force when it does. */
function buildApiParts({ admin }: Settings, world: () => World, services: Services): ApiParts {
  return {
    token: admin?.token,
    explain: (question) => explain(question, world(), services),
    backends: () => [...world().backends.values()].map((backend) => reportBackend(backend, services)),
    tryOut: (question, password) => tryOut(question, password, world(), services),
  }
}

type WorldSources = {
  load: () => LoadResult
  directory: Directory | undefined
  backends: LiveBackends
  admissions: Admissions
  log: Log
  metrics: Metrics
}

/** The world in force: built anew when a file changes or the ticket keys run out, and swapped whole. Connections keep the one they were born in. */
function createWorlds(first: Settings, loaded: LoadResult, sources: WorldSources) {
  const { load, directory, backends, admissions, log, metrics } = sources
  const ticketSecret = randomBytes(32).toString('hex')
  let files = loaded.files
  const noteRefusal = createRefusalNotes(log, metrics.routeRefused, () => performance.now())
  let current: World
  let rotation: NodeJS.Timeout | undefined

  function enter(settings: Settings): void {
    const isUp = (name: string): boolean => backends.get(name)?.isUp() === true
    current = buildWorld({ settings, directory, noteRefusal, isUp, version, ticketSecret, nowMs: Date.now() })
    backends.reconcile(settings.routing)
    admissions.configure(settings.routing.backends)
    clearTimeout(rotation)
    rotation = setTimeout(() => enter(current.settings), current.certificates.validUntilMs - Date.now())
    rotation.unref()
  }
  function welcome(settings: Settings, { problems }: LoadResult): void {
    for (const problem of problems) log.warn({ warning: formatProblem(problem)[0] }, 'configuration')
    metrics.configurationLoaded(settings, current.certificates.expiries, new Date())
  }
  function reload(): void {
    const result = load()
    files = result.files
    if (!result.settings) {
      const errors = result.problems.filter(({ severity }) => severity === 'error')
      for (const problem of errors) log.error({ problem: formatProblem(problem)[0] }, 'configuration not taken over')
      return metrics.configurationRefused()
    }
    const restart = findRestartNeeds(first, result.settings)
    if (restart.length > 0) log.warn({ restart }, 'these parts of the configuration change at the next restart')
    const settings = withBoundListeners(first.listeners, result.settings)
    enter(settings)
    welcome(settings, result)
    log.info('configuration taken over')
  }

  enter(first)
  welcome(first, loaded)
  const onError = (error: unknown): void =>
    log.error({ cause: systemCode(error) }, 'configuration files cannot be watched')
  const watcher = watchFiles(() => files, reload, { onError })
  return {
    current: () => current,
    reload,
    close() {
      clearTimeout(rotation)
      watcher.close()
    },
  }
}

/** Waits for all of it, but no longer than it is worth. */
async function withPatience(waits: readonly Promise<void>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>((resolve) => (timer = setTimeout(resolve, PATIENCE_MS)))
  await Promise.race([Promise.all(waits), enough])
  clearTimeout(timer)
}
