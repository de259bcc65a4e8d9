/**
 * A running mailmux with any number of workers: reads the configuration, reads it again when it changes, answers the admin HTTP, and
 * starts and stops the workers.
 * Over 250 lines: it builds the modules of the instance and decides the order of start, stop and upgrade.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { buildAdmin, type AdminApp } from '../admin/admin.ts'
import { tokensInForce } from '../config/check/admin-files.ts'
import { createLog } from '../log.ts'
import { createInstanceMetrics } from '../metrics/instance-metrics.ts'
import { createRegistry } from '../metrics/readings.ts'
import { createShortageCounter } from '../metrics/shortage-counter.ts'
import { createShortageNotes } from '../resources/shortages.ts'
import { Secret } from '../secret.ts'
import { runtimeName } from '../runtime.ts'
import { version } from '../version.ts'
import { createMoves } from './moves.ts'
import { answersOf } from './file-answers.ts'
import { createHandover } from './generation/handover.ts'
import type { GenerationAnswers } from './generation/messages.ts'
import type { Predecessor } from './generation/predecessor.ts'
import { NO_ELDERS } from './generation/no-predecessor.ts'
import { joinSite } from './site.ts'
import { openShared } from './shared.ts'
import { createDoors } from './admin-doors.ts'
import { keepBlocks } from './blocks.ts'
import { changePool, needsOtherPool } from './change-pool.ts'
import { keepConfiguration } from './configuration.ts'
import { createExposition } from './exposition.ts'
import type { Instance, InstanceParts } from './instance-interface.ts'
import { reopenLogFile } from './log-file.ts'
import { openPool } from './open-pool.ts'
import { prepareAll } from './prepare-all.ts'
import { createRelease, withoutPorts } from './release.ts'
import { findReplaced, startInPlaceOf } from './replace.ts'
import { createNotifier } from './notify.ts'
import { createReloadOrder, SERVING } from './reload-order.ts'
import { createSelfDrain } from './self-drain.ts'
import { warnOfRights } from './privileges.ts'
import { createStatus } from './status.ts'
import { whyNotServing } from './worker-pool.ts'

/** What a stop may take beside the grace of the sessions: workers that close, the other instances, the last log lines. */
const STOP_SLACK_MS = 15_000

/** It opens no port before `start`. `reload` and `stop` may be called at any time. */
export function createInstance(parts: InstanceParts): Instance {
  const { settings, loaded, load, createApp, output, program, inherited } = parts
  const { predecessor, serviceManager, upgradeProgram, onRetired } = parts
  const log = createLog(output, settings.log)
  warnOfRights(settings.privileges, loaded.files, log)
  const notifier = createNotifier(serviceManager, log)
  const registry = createRegistry(output.dropped)
  const metrics = createInstanceMetrics(registry, version)
  const ticketSecret = predecessor?.ticketSecret.reveal() ?? randomBytes(32).toString('hex')
  const generation = predecessor?.generation ?? 1
  const elders: GenerationAnswers = predecessor ?? NO_ELDERS
  const noteShortage = createShortageNotes(log, createShortageCounter(registry))
  const id = randomBytes(6).toString('hex')
  const { leases, ledger, ...shared } = openShared({ settings, current: () => files.current(), id, log, noteShortage })
  if (predecessor) shared.counts.inherit(predecessor.elder)
  metrics.watchShared(shared.isShared)
  const replaced = parts.replace ? findReplaced(settings.admin) : undefined
  const common = { ticketSecret, log, inherited, leases, ledger, createApp, program, metrics, registry }
  const pool = openPool({ ...common, settings: replaced ? withoutPorts(settings) : settings })
  metrics.watchWorkers(pool.states)
  const exposition = createExposition(settings, registry, pool, elders)
  const files = keepConfiguration(settings, loaded, {
    load,
    async takeOver(settings) {
      if (release.isReleased()) throw new Error('another process takes the ports')
      if (needsOtherPool(parts.settings, settings))
        return changePool(parts.settings, settings, { pool, upgrade, notifier })
      const prepared = await prepareAll(settings, { pool, adminDoors, output, followers: [shared, blocks, site] })
      log.configure(settings.log)
      exposition.configure(settings)
      return prepared.commit()
    },
    // Another process manager than systemd would take the end of this process for that of the service.
    mayHandOver: (byOperator) => upgradeProgram.whyNot === undefined && (byOperator || serviceManager !== undefined),
    log,
    metrics,
    noteShortage,
  })

  const moves = createMoves(metrics.movesEnded, () => performance.now())
  metrics.watchMoves(moves.running)
  const site = joinSite({
    id,
    pool,
    settings: files.current,
    host: hostname(),
    pid: process.pid,
    version,
    generation,
    elders,
    moves: moves.list,
    usage: shared.usage,
    refreshBlocks: () => blocks.refresh(),
    log,
    noteShortage,
  })
  metrics.watchInstances(site.count)
  const blocks = keepBlocks({ pool, store: shared.blocks, settings: files.current, refreshAll: site.refreshBlocks })

  metrics.watchGenerations(() => ({
    current: generation,
    draining: predecessor && !predecessor.hasEnded() ? 1 : 0, // each generation counts the one before it
  }))

  let notReady: string | undefined = 'starting'
  const stopping = new AbortController()
  /** for a stop or a drain: no other generation is to take over any more */
  const leaving = new AbortController()
  const close = (): void => {
    status.stop()
    blocks.stop()
    files.close()
    adminDoors.close()
  }
  const operators = { ...answersOf(files, pool, () => reloads.order()), routes: shared.routes }
  const whyNotReady = (): string | undefined => notReady ?? whyNotServing(pool)
  const status = createStatus(exposition.wanted, {
    pool,
    site,
    settings: files.current,
    config: operators.configuration.status,
    generation,
    movesRunning: moves.running,
    notReady: whyNotReady,
  })
  const selfDrain = createSelfDrain({
    stop: async () => {
      await pool.stop()
      await predecessor?.ended
    },
    sessions: async () => (await site.generations.facts()).reduce((sum, { answer }) => sum + (answer.sessions ?? 0), 0),
    graceMs: () => files.current().limits.shutdownGraceMs,
    whyNotNow: () => notReady,
    onOrder() {
      leaving.abort()
      notReady = 'draining'
      files.close() // a reload would open the ports again
      notifier.status('draining')
    },
    log,
  })
  const reloads = createReloadOrder({ files, notifier, isBetween: () => notReady !== undefined })
  const { upgrade, leave, successor, retired } = createHandover({
    program: upgradeProgram,
    generation,
    ticketSecret: new Secret(ticketSecret),
    serviceManager,
    pool,
    admin: () => adminDoors.current(),
    adminSocket: () => adminDoors.socketFile(),
    site,
    reloads: reloads.count,
    blocks: blocks.inForce,
    counts: shared.counts,
    readings: exposition.own,
    predecessor,
    notifier,
    whyNotNow: () => notReady,
    onRetiring() {
      notReady = 'another process has taken over'
      files.close()
      adminDoors.close()
    },
    async onRetired() {
      await shared.leave()
      onRetired()
    },
    stopping: leaving.signal,
    log,
    metrics,
  })

  const release = createRelease({
    pool,
    settings: files.current,
    whyNotNow: () => notReady,
    setNotReady: (why) => (notReady = why),
    retire: leave,
    socket: () => adminDoors.socketFile(),
    version,
    pid: process.pid,
    stopping: leaving.signal,
    log,
  })

  const adminDoors = createDoors(buildAdminApp, { log, refused: metrics.adminConnectionRefused })

  async function listenForOperators(): Promise<void> {
    await adminDoors.openPort(settings.admin, inherited)
    if (stopping.signal.aborted) adminDoors.close()
  }

  function buildAdminApp(): AdminApp {
    return buildAdmin({
      notReady: whyNotReady,
      metrics: { render: exposition.render, contentType: registry.contentType },
      api: {
        ...pool,
        blocks: blocks.orders,
        ...operators,
        ...status.answers,
        upgrade,
        drain: selfDrain,
        release,
        instances: site.instances,
        site: site.answers,
        ...site.questions,
        moves: { report: moves.report, ofInstance: () => Promise.resolve(moves.list()), ofSite: site.moves },
        tokens: () => tokensInForce(files.current()),
        refused: metrics.adminRequestRefused,
      },
      hosts: { has: (name) => files.current().admin?.hosts.includes(name) === true },
      log,
    })
  }

  async function takeOver(elder: Predecessor): Promise<void> {
    const { blocks: inForce, leases: held } = await elder.mayAccept()
    await blocks.adopt(inForce)
    await shared.counts.share(held)
  }

  async function open(): Promise<void> {
    // Until this generation serves, the one before answers operators and the checks of load balancers.
    const isInherited = predecessor !== undefined && settings.admin !== undefined && inherited.has(settings.admin)
    const isAdminLast = isInherited || replaced !== undefined
    if (!isAdminLast) await listenForOperators()
    if (!predecessor && !replaced) await adminDoors.openSocket(settings.admin)
    stopping.signal.throwIfAborted()
    if (predecessor) await blocks.adopt(predecessor.before.blocks)
    const addresses = replaced
      ? await startInPlaceOf(replaced, { pool, settings, log, adminDoors })
      : await pool.start(predecessor && (() => takeOver(predecessor)))
    if (isAdminLast) await listenForOperators()
    if (predecessor ?? replaced) await adminDoors.openSocket(settings.admin, { takenOver: predecessor?.adminSocket })
    if (stopping.signal.aborted) return
    for (const unused of inherited.closeRest()) log.warn(unused, 'inherited port is not used any more')
    notReady = undefined
    status.start()
    log.info({ version, runtime: runtimeName, listeners: addresses, ...(predecessor && { generation }) }, 'ready')
    predecessor?.ready()
    notifier.ready(SERVING)
    // While one worker answers, its sessions are worth more than a restart of those that hang.
    notifier.watch(() => pool.states().some((state) => state !== 'not-answering'))
  }
  return {
    async start() {
      try {
        await open()
      } catch (error) {
        if (stopping.signal.aborted) return // a stop during the start is not an error
        close()
        await predecessor?.failed(error instanceof Error ? error.message : String(error))
        await Promise.all([site.leave(), shared.leave()])
        throw error
      }
    },
    reload() {
      const next = successor()
      if (next) next.reload()
      else reloads.order().catch((error: unknown) => log.error({ err: error }, 'defect'))
    },
    reopenLog() {
      reopenLogFile(output, log)
      void pool.reopenLog()
    },
    upgrade: () => void upgrade({}).catch((error: unknown) => log.error({ err: error }, 'defect')),
    async stop() {
      if (retired()) return retired()
      stopping.abort()
      leaving.abort()
      notReady = 'shutting down'
      // A reading in progress has no effect any more.
      files.close()
      const sessions = await pool.sessions({ limit: 0 }).catch(() => undefined)
      log.info({ sessions: sessions?.total }, 'shutting down')
      notifier.stopping(
        `shutting down: ends ${sessions?.total ?? 'all'} sessions`,
        settings.limits.shutdownGraceMs + STOP_SLACK_MS,
      )
      await selfDrain.end()
      // Until now it may have sessions, for which the other instances may ask.
      await Promise.all([site.leave(), shared.leave()])
      close()
      await notifier.close()
      log.info('stopped')
    },
    abandon() {
      predecessor?.abandon()
      pool.abandon()
    },
  }
}
