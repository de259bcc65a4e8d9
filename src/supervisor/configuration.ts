/** Follows the files of the configuration: what is right in them is taken over, what is wrong is told once, and what may be half written is held back. */
import type { Arrival } from '../config/arrivals.ts'
import { findRestartNeeds, withBoundParts } from '../config/changes.ts'
import type { LoadResult } from '../config/load.ts'
import { formatProblem } from '../config/problems.ts'
import type { Settings } from '../config/settings.ts'
import { watchFiles, type FileChanges, type FileWatcher, type WatchOptions } from '../config/watch.ts'
import { hasCode, systemCode, type NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'
import type { InstanceMetrics } from '../metrics/instance-metrics.ts'
import type { Crew } from './crew.ts'
import { describeLosses, findLosses } from './losses.ts'

/** How soon files are read again that could not be read for want of a descriptor. */
const SHORTAGE_MS = 5000

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
  load: () => LoadResult
  takeOver: Crew['takeOver']
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

  function welcome({ problems, more }: LoadResult): void {
    for (const problem of problems) log.warn({ warning: formatProblem(problem)[0] }, 'configuration')
    if (more.warning > 0) log.warn({ warning: `and ${more.warning} more` }, 'configuration')
    metrics.configurationLoaded(new Date())
  }

  function noteHeldBack(found: typeof heldBack): void {
    heldBack = found
    metrics.configurationHeldBack(found !== undefined)
  }

  /** Called again by itself where the files cannot be read for want of a descriptor. */
  async function read(): Promise<void> {
    clearTimeout(again)
    let result: LoadResult
    try {
      result = load()
    } catch (error) {
      if (!hasCode(error, 'local-shortage')) throw error
      noteShortage('configuration', error.message)
      again = setTimeout(
        () => void read().catch((defect: unknown) => log.error({ err: defect }, 'defect')),
        SHORTAGE_MS,
      )
      return
    }
    files = result.files
    if (!result.settings) {
      noteHeldBack(undefined)
      const errors = result.problems.filter(({ severity }) => severity === 'error')
      for (const problem of errors) log.error({ problem: formatProblem(problem)[0] }, 'configuration not taken over')
      if (result.more.error > 0) log.error({ problem: `and ${result.more.error} more` }, 'configuration not taken over')
      metrics.configurationRefused()
      return
    }
    const { routing: file } = result.settings.files
    const mayBeHalf = file !== undefined && arrivals.get(file) === 'in-place'
    const losses = mayBeHalf ? findLosses(inForce.routing, result.settings.routing) : undefined
    if (mayBeHalf && losses) {
      noteHeldBack({ file, why: describeLosses(losses) })
      log.error({ file, ...losses }, 'configuration held back')
      return
    }
    noteHeldBack(undefined)
    arrivals.clear()
    const restart = findRestartNeeds(first, result.settings)
    if (restart.length > 0) log.warn({ restart }, 'these parts of the configuration change at the next restart')
    current = withBoundParts(first, result.settings)
    inForce = result.settings
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
      arrivals.clear()
      await read()
      try {
        watcher?.refresh()
      } catch (error) {
        if (!hasCode(error, 'local-shortage')) throw error
        noteShortage('configuration', error.message)
      }
    },
    current: () => current,
    heldBack: () => heldBack,
    close() {
      clearTimeout(again)
      watcher?.close()
    },
  }
}
