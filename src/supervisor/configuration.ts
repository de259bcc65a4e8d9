/** Follows the configuration files: applies valid changes, logs each error once, and holds back a routing file that may be half written. */
import type { Arrival } from '../config/arrivals.ts'
import { findRestartNeeds, withBoundParts } from '../config/changes.ts'
import type { LoadResult } from '../config/load.ts'
import { formatProblem } from '../config/yaml/problems.ts'
import type { Settings } from '../config/settings.ts'
import { watchFiles, type FileChanges, type FileWatcher, type WatchOptions } from '../config/watch.ts'
import { hasCode, systemCode, type NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'
import type { InstanceMetrics } from '../metrics/instance-metrics.ts'
import type { WorkerPool } from './worker-pool.ts'
import { describeLosses, findLosses } from './losses.ts'
import { keepUnchangedUsers, withRoutingInForce } from './parts-in-force.ts'

/** Pause before files are read again after a shortage of descriptors or memory. */
const SHORTAGE_MS = 5000

/** Pause before files are read again after another failure, which is most likely repeated. No file is its cause, so no change will follow. */
const FAILURE_MS = 30_000

/** The hint in the log line of a file that is held back. */
const WAYS_OUT =
  'a complete file replaces it, best by rename; SIGHUP takes it over as it is; mailmux explain and docs/operations.md (Reload) tell more'

export type Configuration = {
  /** Reads the files at once, for SIGHUP: holds nothing back, and tries again to watch what could not be watched. */
  reload(): Promise<void>
  /** the settings in force; parts that need a restart have their old values */
  current: () => Settings
  /** The file that is held back, and the reason; undefined if there is none. */
  heldBack: () => { file: string; why: string } | undefined
  close(): void
}

export type ConfigurationParts = {
  load: () => LoadResult | Promise<LoadResult>
  takeOver: WorkerPool['takeOver']
  log: Log
  noteShortage: NoteShortage
  metrics: Pick<
    InstanceMetrics,
    'configurationLoaded' | 'configurationRefused' | 'configurationHeldBack' | 'configurationUnwatched'
  >
  /** for tests; `retryMs` is also the pause after a failed load */
  watching?: Pick<WatchOptions, 'debounceMs' | 'retryMs'>
}

/** @param loaded the configuration with the settings `first`, without errors */
export function keepConfiguration(first: Settings, loaded: LoadResult, parts: ConfigurationParts): Configuration {
  const { load, takeOver, log, metrics, noteShortage, watching } = parts
  let { files, states } = loaded
  let inForce = first
  let current = first
  let again: NodeJS.Timeout | undefined
  /** how each file arrived that has changed since the configuration in force was read */
  const arrivals = new Map<string, Arrival>()
  let heldBack: { file: string; why: string } | undefined
  let watcher: FileWatcher | undefined
  /** The next reading was requested by an operator. */
  let isAsked = false
  let closed = false
  // Functions, because both variables change during an await.
  const isAskedAgain = (): boolean => isAsked
  const isClosed = (): boolean => closed

  function welcome({ problems, more }: LoadResult): void {
    for (const problem of problems) log.warn({ warning: formatProblem(problem)[0] }, 'configuration')
    if (more.warning > 0) log.warn({ warning: `and ${more.warning} more` }, 'configuration')
    metrics.configurationLoaded(new Date())
  }

  function noteHeldBack(found: typeof heldBack): void {
    heldBack = found
    metrics.configurationHeldBack(found !== undefined)
  }

  let reading: Promise<void> | undefined
  let next: Promise<void> | undefined

  /** One reading at a time. All requests during a reading share one further reading, which finds the changes made meanwhile. */
  function read(): Promise<void> {
    next ??= (reading ?? Promise.resolve())
      .catch(() => undefined) // its own caller gets the error
      .then(() => {
        reading = next
        next = undefined
        return readOnce()
      })
    return next
  }

  async function readOnce(): Promise<void> {
    const byOperator = isAsked
    isAsked = false
    if (byOperator) await withWatcher((watching) => watching.takeKnown())
    // A change during this reading may be missing in it, so it belongs to the next reading.
    const arrived = new Map(arrivals)
    arrivals.clear()
    try {
      if (!isClosed()) await readArrived(arrived)
    } finally {
      // A SIGHUP meanwhile is the operator's consent to everything that is still held back, so the kinds of arrival are forgotten.
      if (!isAskedAgain()) for (const [file, arrival] of arrived) if (!arrivals.has(file)) arrivals.set(file, arrival)
    }
    if (byOperator) await withWatcher((watching) => watching.refresh())
  }

  async function withWatcher(use: (watching: FileWatcher) => Promise<void>): Promise<void> {
    try {
      if (watcher) await use(watcher)
    } catch (error) {
      if (!hasCode(error, 'local-shortage')) throw error
      noteShortage('configuration', error.message)
    }
  }

  /**
   * Schedules itself again if the load fails without an error in a file.
   * @param arrived the changes that remain in it afterwards are not in effect
   */
  async function readArrived(arrived: Map<string, Arrival>): Promise<void> {
    clearTimeout(again)
    let result: LoadResult
    try {
      result = await load()
    } catch (error) {
      if (!isClosed()) readAgainIn(noteFailure(error))
      return
    }
    if (isClosed()) return
    ;({ files, states } = result)
    if (!result.settings) {
      refuse(result)
      return
    }
    const settings = keepUnchangedUsers(inForce, result.settings)
    const { routing: file } = settings.files
    const mayBeHalf = file !== undefined && arrived.get(file) === 'in-place'
    const losses = mayBeHalf ? await findLosses(inForce.routing, settings.routing) : undefined
    if (isClosed()) return
    if (mayBeHalf && losses) {
      noteHeldBack({ file, why: describeLosses(losses) })
      log.error({ file, ...losses, hint: WAYS_OUT }, 'configuration held back')
      const others = [...arrived.keys()].filter((name) => name !== file)
      const rest = withRoutingInForce(inForce, settings)
      if (others.length === 0 || !rest) return
      for (const name of others) arrived.delete(name)
      return enter(rest, result)
    }
    noteHeldBack(undefined)
    arrived.clear()
    await enter(settings, result)
  }

  function readAgainIn(ms: number): void {
    again = setTimeout(() => void read().catch((defect: unknown) => log.error({ err: defect }, 'defect')), ms)
  }

  /** @returns the pause before the next load */
  function noteFailure(error: unknown): number {
    if (hasCode(error, 'local-shortage')) {
      noteShortage('configuration', error.message)
      return SHORTAGE_MS
    }
    log.error({ cause: systemCode(error) }, 'configuration cannot be reloaded')
    metrics.configurationRefused()
    return watching?.retryMs ?? FAILURE_MS
  }

  function refuse({ problems, more }: LoadResult): void {
    noteHeldBack(undefined)
    const errors = problems.filter(({ severity }) => severity === 'error')
    for (const problem of errors) log.error({ problem: formatProblem(problem)[0] }, 'configuration not taken over')
    if (more.error > 0) log.error({ problem: `and ${more.error} more` }, 'configuration not taken over')
    metrics.configurationRefused()
  }

  async function enter(settings: Settings, result: LoadResult): Promise<void> {
    const restart = findRestartNeeds(first, settings)
    if (restart.length > 0) log.warn({ restart }, 'these parts of the configuration change at the next restart')
    current = withBoundParts(first, settings)
    inForce = settings
    await takeOver(current)
    welcome(result)
    log.info('configuration taken over')
    watch()
  }

  async function onChange(changes: FileChanges): Promise<void> {
    for (const [file, arrival] of changes) arrivals.set(file, arrival)
    await read()
  }

  function onWatching(failure: string | undefined): void {
    metrics.configurationUnwatched(failure !== undefined)
    if (failure === undefined) log.info('configuration files are watched again')
    else log.error({ cause: failure }, 'configuration files cannot be watched')
  }

  /** Watches the files or not, as `reload` of the configuration in force says. */
  function watch(): void {
    if (inForce.reload.kind === 'signal') {
      watcher?.close()
      watcher = undefined
      metrics.configurationUnwatched(false)
      return
    }
    watcher ??= watchFiles(() => files, onChange, {
      ...watching,
      settleMs: () => (inForce.reload.kind === 'auto' ? inForce.reload.settleMs : 0),
      asRead: () => states,
      onWatching,
      onError(error) {
        if (hasCode(error, 'local-shortage')) noteShortage('configuration', error.message)
        else log.error({ cause: systemCode(error) }, 'configuration cannot be reloaded')
      },
    })
  }

  welcome(loaded)
  noteHeldBack(undefined)
  metrics.configurationUnwatched(false)
  watch()
  return {
    async reload() {
      isAsked = true
      arrivals.clear()
      await read()
    },
    current: () => current,
    heldBack: () => heldBack,
    close() {
      closed = true
      clearTimeout(again)
      watcher?.close()
    },
  }
}
