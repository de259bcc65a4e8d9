/**
 * Follows the configuration files: applies valid changes, logs each error once, and holds back a routing file that may be half written.
 * Over 250 lines: one reading at a time, and the requests for the next one, change the same private state.
 */
import type { Arrival } from '../config/arrivals.ts'
import { findRestartNeeds, withBoundParts } from '../config/changes.ts'
import { findChanges, type Change } from '../config/differences.ts'
import type { LoadResult } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import { watchFiles, type FileChanges, type FileWatcher, type WatchOptions } from '../config/watch.ts'
import { hasCode, systemCode, type NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'
import type { InstanceMetrics } from '../metrics/instance-metrics.ts'
import { describeLosses, findLosses } from './losses.ts'
import { keepUnchangedUsers, withRoutingInForce } from './parts-in-force.ts'
import {
  createReloadRecord,
  describeProblems,
  excerptsOf,
  summarise,
  type ReloadResult,
  type ReloadStatus,
} from './reload-result.ts'

/** Pause before files are read again after a shortage of descriptors or memory. */
const SHORTAGE_MS = 5000

/** Pause before files are read again after another failure, which is most likely repeated. No file is its cause, so no change will follow. */
const FAILURE_MS = 30_000

/** Only an order replaces the process that a service manager knows; a change of the files does not. */
const BY_ORDER = '`mailmux reload` or SIGHUP changes workers without a restart'

const STOPPED: ReloadResult = {
  outcome: 'refused',
  errors: ['mailmux takes no reload any more: it is being stopped or drained'],
}

/** The hint in the log line of a file that is held back. */
const WAYS_OUT =
  'a complete file replaces it, best by rename; SIGHUP takes it over as it is; mailmux explain and docs/operations.md (Reload) tell more'

export type Configuration = {
  /**
   * Reads the files at once, for an operator: holds nothing back, and tries again to watch what could not be watched. All requests during
   * one reading share the next. Settles when the settings are in force.
   */
  reload(): Promise<ReloadResult>
  /** What a reload would change now. `errors`: it would be refused. All requests share one reading of the files. */
  compare: () => Promise<Comparison>
  /** the settings in force; parts that need a restart have their old values */
  current: () => Settings
  /** The file that is held back, and the reason; undefined if there is none. */
  heldBack: () => { file: string; why: string } | undefined
  status: () => ReloadStatus
  close(): void
}

/** `restart`: the parts that only a restart would change */
export type Comparison = { changes: Change[]; restart: string[] } | { errors: string[] }

export type ConfigurationParts = {
  load: () => LoadResult | Promise<LoadResult>
  /** @throws Error with a message for the operator; then nothing has changed */
  takeOver: (settings: Settings) => Promise<number[]>
  /** Whether `workers` may change between 1 and several now. @param byOperator an operator has ordered the reload */
  mayHandOver: (byOperator: boolean) => boolean
  log: Log
  noteShortage: NoteShortage
  metrics: Pick<
    InstanceMetrics,
    | 'configurationLoaded'
    | 'configurationRefused'
    | 'configurationNotRead'
    | 'configurationHeldBack'
    | 'configurationUnwatched'
  >
  /** for tests; `retryMs` is also the pause after a failed load */
  watching?: Pick<WatchOptions, 'debounceMs' | 'retryMs'>
}

/** @param loaded the configuration with the settings `first`, without errors */
export function keepConfiguration(first: Settings, loaded: LoadResult, parts: ConfigurationParts): Configuration {
  const { load, takeOver, mayHandOver, log, metrics, noteShortage, watching } = parts
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
  /** by the present reading */
  let mayChangePool = false
  let comparing: Promise<Comparison> | undefined
  let closed = false
  const record = createReloadRecord(log, metrics)
  // Functions, because both variables change during an await.
  const isAskedAgain = (): boolean => isAsked
  const isClosed = (): boolean => closed

  function noteHeldBack(found: typeof heldBack): void {
    heldBack = found
    metrics.configurationHeldBack(found !== undefined)
  }

  let reading: Promise<ReloadResult> | undefined
  let next: Promise<ReloadResult> | undefined

  /** One reading at a time. All requests during a reading share one further reading, which finds the changes made meanwhile. */
  function read(): Promise<ReloadResult> {
    next ??= (reading ?? Promise.resolve(undefined))
      .catch(() => undefined) // its own caller gets the error
      .then(() => {
        reading = next
        next = undefined
        return readOnce()
      })
    return next
  }

  async function readOnce(): Promise<ReloadResult> {
    const byOperator = isAsked
    mayChangePool = mayHandOver(byOperator)
    isAsked = false
    if (byOperator) await withWatcher((watching) => watching.takeKnown())
    // A change during this reading may be missing in it, so it belongs to the next reading.
    const arrived = new Map(arrivals)
    arrivals.clear()
    let result: ReloadResult = STOPPED
    try {
      if (!isClosed()) result = await readArrived(arrived)
    } finally {
      // A SIGHUP meanwhile is the operator's consent to everything that is still held back, so the kinds of arrival are forgotten.
      if (!isAskedAgain()) for (const [file, arrival] of arrived) if (!arrivals.has(file)) arrivals.set(file, arrival)
    }
    if (byOperator) await withWatcher((watching) => watching.refresh())
    return result
  }

  async function withWatcher(use: (watching: FileWatcher) => Promise<void>): Promise<void> {
    try {
      if (watcher && !isClosed()) await use(watcher)
    } catch (error) {
      if (!hasCode(error, 'local-shortage')) throw error
      noteShortage('configuration', error.message)
    }
  }

  /**
   * Schedules itself again if the load fails without an error in a file.
   * @param arrived the changes that remain in it afterwards are not in effect
   */
  async function readArrived(arrived: Map<string, Arrival>): Promise<ReloadResult> {
    clearTimeout(again)
    let result: LoadResult
    try {
      result = await load()
    } catch (error) {
      if (isClosed()) return STOPPED
      readAgainIn(noteFailure(error))
      return record.failed([`the configuration cannot be read: ${systemCode(error)}`])
    }
    if (isClosed()) return STOPPED
    ;({ files, states } = result)
    if (!result.settings) {
      noteHeldBack(undefined)
      return record.refused(describeProblems(result, 'error'), excerptsOf(result))
    }
    const settings = keepUnchangedUsers(inForce, result.settings)
    const { routing: file } = settings.files
    const mayBeHalf = file !== undefined && arrived.get(file) === 'in-place'
    const losses = mayBeHalf ? await findLosses(inForce.routing, settings.routing) : undefined
    if (isClosed()) return STOPPED
    if (mayBeHalf && losses) {
      const why = describeLosses(losses)
      noteHeldBack({ file, why })
      log.error({ file, ...losses, hint: WAYS_OUT }, 'configuration held back')
      const others = [...arrived.keys()].filter((name) => name !== file)
      const rest = withRoutingInForce(inForce, settings)
      if (others.length === 0 || !rest) return { outcome: 'refused', errors: [`${file} is held back: ${why}`] }
      for (const name of others) arrived.delete(name)
      return enter(rest, result)
    }
    noteHeldBack(undefined)
    arrived.clear()
    return enter(settings, result)
  }

  function readAgainIn(ms: number): void {
    again = setTimeout(() => void read().catch((defect: unknown) => log.error({ err: defect }, 'defect')), ms)
  }

  /** @returns the pause before the next load */
  function noteFailure(error: unknown): number {
    if (hasCode(error, 'local-shortage')) {
      noteShortage('configuration', error.message)
      metrics.configurationNotRead()
      return SHORTAGE_MS
    }
    log.error({ cause: systemCode(error) }, 'configuration cannot be reloaded')
    metrics.configurationRefused()
    return watching?.retryMs ?? FAILURE_MS
  }

  async function enter(settings: Settings, result: LoadResult): Promise<ReloadResult> {
    const next = withBoundParts(current, settings, mayChangePool)
    const changes = await findChanges(current, next)
    if (isClosed()) return STOPPED
    let late: number[]
    try {
      late = await takeOver(next)
    } catch (error) {
      if (isClosed()) return STOPPED
      return record.refused([error instanceof Error ? error.message : String(error)])
    }
    const restart = findRestartNeeds(current, settings, mayChangePool)
    if (restart.length > 0) {
      const hint = restart.includes('workers') && mayHandOver(true) ? { hint: BY_ORDER } : {}
      log.warn({ restart, ...hint }, 'these parts of the configuration change at the next restart')
    }
    current = next
    inForce = settings
    const warnings = record.loaded(result)
    log.info({ changes: summarise(changes), ...(late.length > 0 && { late }) }, 'configuration taken over')
    if (!isClosed()) watch()
    return { outcome: 'applied', changes, warnings, late }
  }

  async function compareOnce(): Promise<Comparison> {
    let result: LoadResult
    try {
      result = await load()
    } catch (error) {
      return { errors: [`the configuration cannot be read: ${systemCode(error)}`] }
    }
    if (!result.settings) return { errors: describeProblems(result, 'error') }
    const settings = keepUnchangedUsers(inForce, result.settings)
    const isPossible = mayHandOver(true)
    const changes = await findChanges(current, withBoundParts(current, settings, isPossible))
    return { changes, restart: findRestartNeeds(current, settings, isPossible) }
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

  record.loaded(loaded)
  noteHeldBack(undefined)
  metrics.configurationUnwatched(false)
  watch()
  return {
    async reload() {
      isAsked = true
      arrivals.clear()
      return read()
    },
    compare: () => (comparing ??= compareOnce().finally(() => (comparing = undefined))),
    current: () => current,
    heldBack: () => heldBack,
    status: record.status,
    close() {
      closed = true
      clearTimeout(again)
      watcher?.close()
    },
  }
}
