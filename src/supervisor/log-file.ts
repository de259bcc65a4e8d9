/** The file of the log in one process: at its start, at a reload, and when it is opened anew for logrotate. */
import { systemCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { LogOutput } from '../log-output.ts'

/** @throws Error for the operator if the file of the configuration cannot be opened */
export function openLogFile(output: LogOutput, file: string | undefined): void {
  try {
    output.use(file)
  } catch (error) {
    throw new Error(`log.file: cannot write to ${file}: ${systemCode(error)}`, { cause: error })
  }
}

/**
 * For a reload, in the supervisor.
 * @param discard undoes what the reload has prepared so far
 * @throws Error for the operator if the file cannot be opened; then the reload changes nothing
 */
export function changeLogFile(output: LogOutput, file: string | undefined, discard: () => void): void {
  try {
    openLogFile(output, file)
  } catch (error) {
    discard()
    throw error
  }
}

/** In a worker, whose supervisor has opened the file before. The log stays where it is on failure: a worker serves without it. */
export function followLogFile(output: LogOutput, file: string | undefined, log: Log): void {
  try {
    output.use(file)
  } catch (error) {
    log.error({ file, cause: systemCode(error) }, 'log file cannot be opened')
  }
}

/** For SIGUSR1. Without a file it does nothing. */
export function reopenLogFile(output: LogOutput, log: Log): void {
  const file = output.file()
  if (file === undefined) return
  try {
    output.reopen()
    log.info({ file }, 'log file reopened')
  } catch (error) {
    log.error({ file, cause: systemCode(error) }, 'log file cannot be opened')
  }
}
