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

/** Follows a reload. The log stays where it is if the file cannot be opened: a running mailmux serves without it. */
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
