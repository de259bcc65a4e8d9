/** The series of the instance as a whole, whatever number of workers it has, and a verb to record each. */
import { Counter, Gauge, type Registry } from 'prom-client'

/** As `AdminRefusal` of the API. */
export const ADMIN_REFUSALS = ['token', 'right', 'rate', 'host', 'site'] as const

export type AdminRefusal = (typeof ADMIN_REFUSALS)[number]

/** How a worker does: it serves, it is being started, it does not answer its supervisor, or it has ended and waits to be started again. */
export const WORKER_STATES = ['up', 'starting', 'not-answering', 'ended'] as const
export type WorkerState = (typeof WORKER_STATES)[number]

/** `unknown`: Redis gave no answer after the switch of the route was sent. */
export const MOVE_OUTCOMES = ['moved', 'failed', 'unknown'] as const
export type MoveOutcome = (typeof MOVE_OUTCOMES)[number]

/** `refused`: nothing was started. `failure`: the new version did not come to serve. */
const UPGRADE_OUTCOMES = ['success', 'refused', 'failure'] as const
export type UpgradeOutcome = (typeof UPGRADE_OUTCOMES)[number]

export type InstanceMetrics = ReturnType<typeof createInstanceMetrics>

export function createInstanceMetrics(registry: Registry, version: string) {
  const registers = [registry]
  let readWorkers: () => readonly WorkerState[] = () => []
  let readInstances: () => number = () => 1
  let readMoves: () => number = () => 0
  let readShared: () => boolean | undefined = () => undefined
  let readGenerations: () => { current: number; draining: number } = () => ({ current: 1, draining: 0 })

  const buildInfo = new Gauge({
    name: 'mailmux_build_info',
    help: 'Always 1; the version is the label.',
    labelNames: ['version'],
    registers,
  })
  const reloads = new Counter({
    name: 'mailmux_config_reloads_total',
    help: 'Times that the configuration was read.',
    labelNames: ['outcome'],
    registers,
  })
  const lastSuccessful = new Gauge({
    name: 'mailmux_config_last_reload_successful',
    help: '1 if the files were taken over when they were last read, 0 if not.',
    registers,
  })
  const lastReload = new Gauge({
    name: 'mailmux_config_last_reload_success_timestamp_seconds',
    help: 'When the configuration in force was read.',
    registers,
  })
  const heldBack = new Gauge({
    name: 'mailmux_config_held_back',
    help: '1 while a routing file that may be half written is not taken over.',
    registers,
  })
  const unwatched = new Gauge({
    name: 'mailmux_config_files_unwatched',
    help: '1 while a change of the files is not noticed at once, because a directory cannot be watched.',
    registers,
  })
  new Gauge({
    name: 'mailmux_workers',
    help: 'Workers by how they do.',
    labelNames: ['state'],
    registers,
    collect() {
      const states = readWorkers()
      for (const state of WORKER_STATES) this.set({ state }, states.filter((one) => one === state).length)
    },
  })
  new Gauge({
    name: 'mailmux_instances',
    help: 'Instances with a heartbeat in Redis, this one included; 1 without Redis and while it is away.',
    registers,
    collect() {
      this.set(readInstances())
    },
  })
  new Gauge({
    name: 'mailmux_limits_shared',
    help: '1 while limits are shared with other instances through Redis, 0 while this instance counts for itself; absent without Redis.',
    registers,
    collect() {
      this.reset()
      const isShared = readShared()
      if (isShared === undefined) this.remove()
      else this.set(isShared ? 1 : 0)
    },
  })
  const moves = new Counter({
    name: 'mailmux_moves_total',
    help: 'Moves of users that have ended, of the runs of mailmux move that report to this instance.',
    labelNames: ['outcome'],
    registers,
  })
  for (const outcome of MOVE_OUTCOMES) moves.inc({ outcome }, 0)
  new Gauge({
    name: 'mailmux_moves_running',
    help: 'Users that are being moved, of the runs of mailmux move that report to this instance.',
    registers,
    collect() {
      this.set(readMoves())
    },
  })
  new Gauge({
    name: 'mailmux_generation',
    help: 'The number of this generation: 1 after a start, and one more after each upgrade.',
    registers,
    collect() {
      this.set(readGenerations().current)
    },
  })
  new Gauge({
    name: 'mailmux_generations_draining',
    help: 'Generations before this one whose sessions have not all ended.',
    registers,
    collect() {
      this.set(readGenerations().draining)
    },
  })
  const upgrades = new Counter({
    name: 'mailmux_upgrades_total',
    help: 'Upgrades that were ordered, by how they ended.',
    labelNames: ['outcome'],
    registers,
  })
  for (const outcome of UPGRADE_OUTCOMES) upgrades.inc({ outcome }, 0)
  const restarts = new Counter({
    name: 'mailmux_worker_restarts_total',
    help: 'Workers started again after they had ended without being told to.',
    registers,
  })

  const adminRefused = new Counter({
    name: 'mailmux_admin_connections_refused_total',
    help: 'Connections to the admin port that were closed as one too many, or could not be accepted.',
    registers,
  })

  const requestsRefused = new Counter({
    name: 'mailmux_admin_requests_refused_total',
    help: 'Requests to the admin API that were refused before they were looked at.',
    labelNames: ['reason'],
    registers,
  })
  for (const reason of ADMIN_REFUSALS) requestsRefused.inc({ reason }, 0)

  buildInfo.set({ version }, 1)
  return {
    configurationLoaded(now: Date) {
      reloads.inc({ outcome: 'success' })
      reloads.inc({ outcome: 'failure' }, 0)
      lastReload.set(now.getTime() / 1000)
      lastSuccessful.set(1)
    },
    configurationRefused() {
      reloads.inc({ outcome: 'failure' })
      lastSuccessful.set(0)
    },
    /** A lack of descriptors or memory: it is no outcome, and the files are read again. */
    configurationNotRead: () => lastSuccessful.set(0),
    configurationHeldBack: (isHeldBack: boolean) => heldBack.set(isHeldBack ? 1 : 0),
    configurationUnwatched: (isUnwatched: boolean) => unwatched.set(isUnwatched ? 1 : 0),
    /** Where to read at each scrape how the workers do. */
    watchWorkers(read: () => readonly WorkerState[]) {
      readWorkers = read
    },
    /** Where to read at each scrape how many instances there are. */
    watchInstances(read: () => number) {
      readInstances = read
    },
    /** Where to read at each scrape whether limits are shared; undefined: there is nothing to share them through. */
    watchShared(read: () => boolean | undefined) {
      readShared = read
    },
    /** Where to read at each scrape how many users are being moved. */
    watchMoves(read: () => number) {
      readMoves = read
    },
    /** Where to read at each scrape which generation this is, and how many there are before it. */
    watchGenerations(read: () => { current: number; draining: number }) {
      readGenerations = read
    },
    upgradeEnded: (outcome: UpgradeOutcome) => upgrades.inc({ outcome }),
    movesEnded: (outcome: MoveOutcome, count: number) => moves.inc({ outcome }, count),
    adminConnectionRefused: () => adminRefused.inc(),
    adminRequestRefused: (reason: AdminRefusal) => requestsRefused.inc({ reason }),
    workerRestarted: () => restarts.inc(),
  }
}
