/** How reloads end: the result of each, what is remembered of the last, and the lines in the log. */
import type { Change } from '../config/differences.ts'
import type { LoadResult } from '../config/load.ts'
import { formatProblem } from '../config/yaml/problems.ts'
import type { Log } from '../log.ts'
import type { InstanceMetrics } from '../metrics/instance-metrics.ts'

/** Changes that are named in one log line; `mailmux reload` shows all of them. */
const MOST_LOGGED = 20

/**
 * `applied`: the new settings are in force; `late` are the numbers of the workers that have not confirmed them in time.
 * `refused`: nothing has changed, for each of these errors.
 */
export type ReloadResult =
  | { outcome: 'applied'; changes: Change[]; warnings: string[]; late: number[] }
  | { outcome: 'refused'; errors: string[] }

/** The last reload that changed nothing because of errors. Times are milliseconds of the epoch. */
export type ReloadFailure = {
  atMs: number
  errors: string[]
  /** errors of the files, each with its line and a caret; absent for other reasons */
  excerpts?: string[]
}

export type ReloadStatus = {
  /** when the configuration in force was read */
  loadedMs: number
  /** undefined once a later reload was applied */
  failure: ReloadFailure | undefined
}

/** The problems of one severity, a line each, with the number of those that are only counted. */
export function describeProblems({ problems, more }: LoadResult, severity: 'error' | 'warning'): string[] {
  const lines = problems.filter((one) => one.severity === severity).map((one) => formatProblem(one)[0] ?? '')
  return more[severity] > 0 ? [...lines, `and ${more[severity]} more`] : lines
}

/** Errors of one reload that are shown with their lines. */
const MOST_EXCERPTS = 20

/** The first errors, each with the line of the file and a caret under its place. */
export function excerptsOf({ problems }: Pick<LoadResult, 'problems'>): string[] {
  const errors = problems.filter(({ severity }) => severity === 'error').slice(0, MOST_EXCERPTS)
  return errors.map((one) => formatProblem(one).join('\n'))
}

/** The changes for one log line. */
export function summarise(changes: readonly Change[]): string[] {
  const texts = changes.slice(0, MOST_LOGGED).map(({ text }) => text)
  return changes.length > MOST_LOGGED ? [...texts, `and ${changes.length - MOST_LOGGED} more`] : texts
}

export type ReloadRecord = {
  /** The configuration is in force. @returns its warnings */
  loaded: (result: LoadResult) => string[]
  /** Nothing has changed because of these errors. @param excerpts of the files */
  refused: (errors: string[], excerpts?: string[]) => ReloadResult
  /** The same for a reason that is counted and logged elsewhere. */
  failed: (errors: string[]) => ReloadResult
  status: () => ReloadStatus
}

export function createReloadRecord(
  log: Log,
  metrics: Pick<InstanceMetrics, 'configurationLoaded' | 'configurationRefused'>,
): ReloadRecord {
  let status: ReloadStatus = { loadedMs: 0, failure: undefined }

  function failed(errors: string[], excerpts?: string[]): ReloadResult {
    status = { ...status, failure: { atMs: Date.now(), errors, ...(excerpts && { excerpts }) } }
    return { outcome: 'refused', errors }
  }

  return {
    loaded(result) {
      const warnings = describeProblems(result, 'warning')
      for (const warning of warnings) log.warn({ warning }, 'configuration')
      const now = new Date()
      status = { loadedMs: now.getTime(), failure: undefined }
      metrics.configurationLoaded(now)
      return warnings
    },
    refused(errors, excerpts) {
      for (const problem of errors) log.error({ problem }, 'configuration not taken over')
      metrics.configurationRefused()
      return failed(errors, excerpts)
    },
    failed: (errors) => failed(errors),
    status: () => status,
  }
}
