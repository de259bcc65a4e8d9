/** Structured logs. What is logged is named field by field; whole objects from the wire never are. */
import { pino } from 'pino'
import { PinoPretty } from 'pino-pretty'
import type { Settings } from './config/settings.ts'

/** The part of a logger that rooms may use: fields first, then one fixed sentence, so that lines can be searched for. */
export type Log = Pick<pino.Logger, 'debug' | 'info' | 'warn' | 'error'>

/**
 * Writes to standard output, a line an event: for people with `pretty`, else JSON.
 * @param worker its number, which stands in each line, where there are several
 */
export function createLog({ level, format }: Settings['log'], worker?: number): Log {
  const options = {
    level,
    // The process id and host name are what the collector adds anyway.
    base: worker === undefined ? null : { worker },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  if (format === 'pretty')
    return pino(
      options,
      PinoPretty({ colorize: process.stdout.isTTY, translateTime: 'SYS:HH:MM:ss', singleLine: true }),
    )
  // Synchronous: a line that says why the process ends must be out before it ends. A write of one line to a pipe is a few µs.
  return pino(options, pino.destination({ sync: true }))
}
