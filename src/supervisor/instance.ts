/**
 * A running mailmux as its operators know it, whatever number of workers it has: reads the configuration and reads it again when it
 * changes, answers the admin HTTP, and starts and stops those who serve.
 */
import { randomBytes } from 'node:crypto'
import { buildAdmin, openAdmin } from '../admin/admin.ts'
import { findRestartNeeds, withBoundParts } from '../config/changes.ts'
import type { LoadResult } from '../config/load.ts'
import { formatProblem } from '../config/problems.ts'
import type { Settings } from '../config/settings.ts'
import { watchFiles } from '../config/watch.ts'
import { hasCode, systemCode, type NoteShortage } from '../errors.ts'
import { createLog, type Log, type LogOutput } from '../log.ts'
import { createInstanceMetrics, type InstanceMetrics } from '../metrics/instance-metrics.ts'
import { createMetrics } from '../metrics/metrics.ts'
import { createRegistry, sumReadings } from '../metrics/readings.ts'
import { createRemovedFilter } from '../metrics/removed-series.ts'
import { createShortageCounter } from '../metrics/shortage-counter.ts'
import { createShortageNotes } from '../resources/shortages.ts'
import { Secret } from '../secret.ts'
import { version } from '../version.ts'
import { createCrewOfOne, type CreateApp } from './alone.ts'
import type { Crew } from './crew.ts'
import type { WorkerProgram } from './worker.ts'
import { createWorkers } from './workers.ts'

export type Instance = {
  /** Settles when clients are served, or when it is stopped before. @throws Error with a message for the operator; nothing is left open then */
  start(): Promise<void>
  /** Reads the files again and takes over what is right; what is wrong changes nothing and is logged. */
  reload: () => void
  /** Stops accepting, lets sessions come to an end, and closes everything; before it is ready too. */
  stop(): Promise<void>
  /** Leaves nothing running behind, for a process that is about to end. */
  abandon(): void
}

export type InstanceParts = {
  settings: Settings
  /** a configuration without errors, of which these are the settings */
  loaded: LoadResult
  /** reads it again */
  load: () => LoadResult
  createApp: CreateApp
  /** where the log goes */
  output: LogOutput
  /** what a worker is started as, where there are several */
  program: WorkerProgram
}

/** It opens no port before `start`, and may be told to reload or to stop from now on. */
export function createInstance(parts: InstanceParts): Instance {
  const { settings, loaded, load, createApp, output, program } = parts
  const log = createLog(output, settings.log)
  const registry = createRegistry(output.dropped)
  const metrics = createInstanceMetrics(registry, version)
  const ticketSecret = randomBytes(32).toString('hex')
  const crew =
    settings.workers === 1
      ? createCrewOfOne(createApp, settings, { log, metrics: createMetrics(registry), ticketSecret })
      : createWorkers({ settings, program, ticketSecret: new Secret(ticketSecret), log, metrics })
  metrics.watchWorkers(crew.states)
  let withoutRemoved = createRemovedFilter(settings)
  const files = keepConfiguration(settings, loaded, {
    load,
    takeOver(settings) {
      log.configure(settings.log)
      withoutRemoved = createRemovedFilter(settings)
      return crew.takeOver(settings)
    },
    log,
    metrics,
    noteShortage: createShortageNotes(log, createShortageCounter(registry)),
  })

  let notReady: string | undefined = 'starting'
  const stopping = new AbortController()
  let closeAdmin: (() => void) | undefined
  const close = (): void => {
    files.close()
    closeAdmin?.()
  }
  async function render(): Promise<string> {
    const readings = [await registry.getMetricsAsJSON(), ...(await crew.readings())]
    return sumReadings(readings.map(withoutRemoved)).metrics()
  }
  async function open(): Promise<void> {
    const admin = buildAdmin({
      notReady: () => notReady ?? whyNot(crew),
      metrics: { render, contentType: registry.contentType },
      api: { ...crew, token: () => files.current().admin?.token },
      hosts: new Set(settings.admin?.hosts),
      log,
    })
    if (settings.admin)
      closeAdmin = await openAdmin(admin, settings.admin, { log, refused: metrics.adminConnectionRefused })
    if (stopping.signal.aborted) closeAdmin?.()
    stopping.signal.throwIfAborted()
    const addresses = await crew.start()
    if (stopping.signal.aborted) return
    notReady = undefined
    log.info({ version, listeners: addresses }, 'ready')
  }
  return {
    async start() {
      try {
        await open()
      } catch (error) {
        if (stopping.signal.aborted) return // what has not started cannot fail to
        close()
        throw error
      }
    },
    reload: files.reload,
    async stop() {
      stopping.abort()
      notReady = 'shutting down'
      const sessions = await crew.sessions({ limit: 0 }).catch(() => undefined)
      log.info({ sessions: sessions?.total }, 'shutting down')
      await crew.stop()
      close()
      log.info('stopped')
    },
    abandon: crew.abandon,
  }
}

/** As long as one worker serves, clients are served: a load balancer must not take the rest away too. */
function whyNot(crew: Crew): string | undefined {
  return crew.states().includes('up') ? undefined : 'no worker serves'
}

/** How soon files are read again that could not be read for want of a descriptor. */
const SHORTAGE_MS = 5000

type Followers = {
  load: () => LoadResult
  takeOver: Crew['takeOver']
  log: Log
  metrics: InstanceMetrics
  noteShortage: NoteShortage
}

/** Follows the files: what is right in them is taken over, what is wrong is told once. */
function keepConfiguration(
  first: Settings,
  loaded: LoadResult,
  { load, takeOver, log, metrics, noteShortage }: Followers,
) {
  let { files } = loaded
  let current = first
  let again: NodeJS.Timeout | undefined
  const defect = (error: unknown): void => log.error({ err: error }, 'defect')

  function welcome({ problems, more }: LoadResult): void {
    for (const problem of problems) log.warn({ warning: formatProblem(problem)[0] }, 'configuration')
    if (more.warning > 0) log.warn({ warning: `and ${more.warning} more` }, 'configuration')
    metrics.configurationLoaded(new Date())
  }
  /** Also called again by itself, where the files cannot be read for want of a descriptor. */
  async function reload(): Promise<void> {
    clearTimeout(again)
    let result: LoadResult
    try {
      result = load()
    } catch (error) {
      if (!hasCode(error, 'local-shortage')) throw error
      noteShortage('configuration', error.message)
      again = setTimeout(() => void reload().catch(defect), SHORTAGE_MS)
      return
    }
    files = result.files
    if (!result.settings) {
      const errors = result.problems.filter(({ severity }) => severity === 'error')
      for (const problem of errors) log.error({ problem: formatProblem(problem)[0] }, 'configuration not taken over')
      if (result.more.error > 0) log.error({ problem: `and ${result.more.error} more` }, 'configuration not taken over')
      metrics.configurationRefused()
      return
    }
    const restart = findRestartNeeds(first, result.settings)
    if (restart.length > 0) log.warn({ restart }, 'these parts of the configuration change at the next restart')
    current = withBoundParts(first, result.settings)
    await takeOver(current)
    welcome(result)
    log.info('configuration taken over')
  }

  welcome(loaded)
  const onError = (error: unknown): void => {
    if (hasCode(error, 'local-shortage')) noteShortage('configuration', error.message)
    else log.error({ cause: systemCode(error) }, 'configuration files cannot be watched')
  }
  const watcher = watchFiles(() => files, reload, { onError })
  return {
    reload: () => void reload().catch(defect),
    current: () => current,
    close() {
      clearTimeout(again)
      watcher.close()
    },
  }
}
