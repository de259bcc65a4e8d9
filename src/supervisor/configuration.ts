/** Follows the files of the configuration: what is right in them is taken over, what is wrong is told once, and what may be half written is held back. */
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

/** How soon files are read again that could not be read for want of a descriptor. */
const SHORTAGE_MS = 5000

/** For the log line of a file that is held back. */
const WAYS_OUT =
  'a complete file replaces it, best by rename; SIGHUP takes it over as it is; mailmux explain and docs/operations.md (Reload) tell more'

export type Configuration = {
  /** Reads the files at once, on an operator's word: nothing is held back, and what cannot be watched is tried again. */
  reload(): Promise<void>
  /** the settings in force, with the parts that need a restart as they were */
  current: () => Settings
  /** Which file is held back, and why; undefined where none is. */
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
  /** for tests */
  watching?: Pick<WatchOptions, 'debounceMs' | 'retryMs'>
}

/** @param loaded a configuration without errors, of which `first` are the settings */
export function keepConfiguration(first: Settings, loaded: LoadResult, parts: ConfigurationParts): Configuration {
  const { load, takeOver, log, metrics, noteShortage, watching } = parts
  let { files } = loaded
  let inForce = first
  let current = first
  let again: NodeJS.Timeout | undefined
  /** how files arrived that have changed since the configuration in force was read */
  const arrivals = new Map<string, Arrival>()
  let heldBack: { file: string; why: string } | undefined
  let watcher: FileWatcher | undefined
  /** An operator has asked for the next reading. */
  let isAsked = false
  let closed = false
  // Functions, since both change while something is awaited.
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

  /** One reading at a time. All that is asked for while one is under way is one further reading, which finds what has changed meanwhile. */
  function read(): Promise<void> {
    next ??= (reading ?? Promise.resolve())
      .catch(() => undefined) // told to the caller that asked for it
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
    // What arrives while this is read may be in it or not, and is for the next reading.
    const arrived = new Map(arrivals)
    arrivals.clear()
    try {
      if (!isClosed()) await readArrived(arrived)
    } finally {
      // SIGHUP meanwhile confirms what is still held back or wrong.
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
   * Called again by itself where the files cannot be read for want of a descriptor.
   * @param arrived what remains in it has not been taken over
   */
  async function readArrived(arrived: Map<string, Arrival>): Promise<void> {
    clearTimeout(again)
    let result: LoadResult
    try {
      result = await load()
    } catch (error) {
      if (isClosed()) return
      if (!hasCode(error, 'local-shortage')) throw error
      noteShortage('configuration', error.message)
      again = setTimeout(
        () => void read().catch((defect: unknown) => log.error({ err: defect }, 'defect')),
        SHORTAGE_MS,
      )
      return
    }
    if (isClosed()) return
    files = result.files
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

  /** As `reload` in the configuration in force has it. */
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
