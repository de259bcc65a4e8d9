/**
 * A running mailmux as its operators know it, whatever number of workers it has: reads the configuration and reads it again when it
 * changes, answers the admin HTTP, and starts and stops those who serve.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { buildAdmin, openAdmin } from '../admin/admin.ts'
import type { RouteAnswer } from '../admin/answers.ts'
import type { RouteQuestion } from '../admin/api.ts'
import type { LoadResult } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import { createLog, type LogOutput } from '../log.ts'
import { createInstanceMetrics } from '../metrics/instance-metrics.ts'
import { createMetrics } from '../metrics/metrics.ts'
import { createRegistry, sumReadings } from '../metrics/readings.ts'
import { createRemovedFilter } from '../metrics/removed-series.ts'
import { createShortageCounter } from '../metrics/shortage-counter.ts'
import { createShortageNotes } from '../resources/shortages.ts'
import { Secret } from '../secret.ts'
import { version } from '../version.ts'
import { joinSite } from './site.ts'
import { createInProcessPool, type CreateApp } from './in-process.ts'
import { keepConfiguration } from './configuration.ts'
import type { WorkerPool } from './worker-pool.ts'
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
  load: () => Promise<LoadResult>
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
  const pool =
    settings.workers === 1
      ? createInProcessPool(createApp, settings, { log, metrics: createMetrics(registry), ticketSecret })
      : createWorkers({ settings, program, ticketSecret: new Secret(ticketSecret), log, metrics })
  metrics.watchWorkers(pool.states)
  let withoutRemoved = createRemovedFilter(settings)
  const noteShortage = createShortageNotes(log, createShortageCounter(registry))
  const files = keepConfiguration(settings, loaded, {
    load,
    takeOver(settings) {
      log.configure(settings.log)
      withoutRemoved = createRemovedFilter(settings)
      return pool.takeOver(settings)
    },
    log,
    metrics,
    noteShortage,
  })

  const site = joinSite({
    pool,
    settings: files.current,
    host: hostname(),
    pid: process.pid,
    version,
    log,
    noteShortage,
  })
  metrics.watchInstances(site.count)

  let notReady: string | undefined = 'starting'
  const stopping = new AbortController()
  let closeAdmin: (() => void) | undefined
  const close = (): void => {
    files.close()
    closeAdmin?.()
  }
  async function render(): Promise<string> {
    const readings = [await registry.getMetricsAsJSON(), ...(await pool.readings())]
    return sumReadings(readings.map(withoutRemoved)).metrics()
  }
  /** One of those who serve explains a login; whether they serve by an older file is known here. */
  async function explain(question: RouteQuestion): Promise<RouteAnswer | { wrong: string }> {
    const answer = await pool.explain(question)
    const heldBack = files.heldBack()
    return 'wrong' in answer || !heldBack ? answer : { ...answer, heldBack }
  }
  function isConfigured(kind: 'backend' | 'listener', name: string): boolean {
    const { routing, listeners } = files.current()
    return kind === 'backend' ? routing.backends.has(name) : listeners.some((listener) => listener.name === name)
  }
  async function open(): Promise<void> {
    const admin = buildAdmin({
      notReady: () => notReady ?? whyNot(pool),
      metrics: { render, contentType: registry.contentType },
      api: { ...pool, explain, isConfigured, instances: site.instances, token: () => files.current().admin?.token },
      hosts: new Set(settings.admin?.hosts),
      log,
    })
    if (settings.admin)
      closeAdmin = await openAdmin(admin, settings.admin, { log, refused: metrics.adminConnectionRefused })
    if (stopping.signal.aborted) closeAdmin?.()
    stopping.signal.throwIfAborted()
    const addresses = await pool.start()
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
        await site.leave()
        throw error
      }
    },
    reload: () => void files.reload().catch((error: unknown) => log.error({ err: error }, 'defect')),
    async stop() {
      stopping.abort()
      notReady = 'shutting down'
      // What is being read is not taken over any more.
      files.close()
      const sessions = await pool.sessions({ limit: 0 }).catch(() => undefined)
      log.info({ sessions: sessions?.total }, 'shutting down')
      await pool.stop()
      // Until here it has sessions, which the other instances may ask for.
      await site.leave()
      close()
      log.info('stopped')
    },
    abandon: pool.abandon,
  }
}

/** As long as one worker serves, clients are served: a load balancer must not take the rest away too. */
function whyNot(pool: WorkerPool): string | undefined {
  return pool.states().includes('up') ? undefined : 'no worker serves'
}
