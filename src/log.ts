/** Structured logs. What is logged is named field by field; whole objects from the wire never are. */
import { pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Settings } from './config/settings.ts'
import type { LogOutput } from './log-output.ts'
import { escapeInJson, showInJson } from './printable.ts'

/** The part of a logger that modules may use: fields first, then one fixed sentence, so that lines can be searched for. */
export type Log = Pick<pino.Logger, 'debug' | 'info' | 'warn' | 'error'> & {
  /** Asked before the fields of a `debug` line are put together, so that they cost nothing where it is off. */
  isLevelEnabled?: (level: 'debug') => boolean
}

/** How lines look, and which are written. */
export type LogForm = Pick<Settings['log'], 'level' | 'format'>

/** A log whose level and format follow the configuration. */
export type AdjustableLog = Required<Log> & {
  configure: (form: LogForm) => void
  /** An operator's level, which counts in place of the configuration's; undefined: that of the configuration again. */
  override: (level: LogForm['level'] | undefined) => void
  levelNow: () => { level: LogForm['level']; configured: LogForm['level'] }
}

/**
 * Writes to `output`, a line an event: for people with `pretty`, else JSON.
 * @param worker its number, which stands in each line, where there are several
 */
export function createLog(output: LogOutput, settings: LogForm, worker?: number): AdjustableLog {
  const options = { translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l', singleLine: true }
  const toPlain = prettyFactory({ ...options, colorize: false })
  const toColored = prettyFactory({ ...options, colorize: true })
  const toPretty = (line: string): string => (output.isTerminal() ? toColored : toPlain)(line)
  let { format, level: configured } = settings
  let overriding: LogForm['level'] | undefined
  const log = pino(
    {
      level: settings.level,
      // The process id and host name are what the collector adds anyway.
      base: worker === undefined ? null : { worker },
      timestamp: createTimestamp(),
      formatters: { level: (label: string) => ({ level: label }) },
    },
    // Texts of others may hold characters that a terminal obeys, of which JSON escapes a part.
    { write: (line: string) => output.write(format === 'pretty' ? toPretty(showInJson(line)) : escapeInJson(line)) },
  )
  output.onRecovered((lines) => log.warn({ lines }, 'log lines dropped'))
  return Object.assign(log, {
    configure(changed: LogForm) {
      format = changed.format
      configured = changed.level
      log.level = overriding ?? configured
    },
    override(level: LogForm['level'] | undefined) {
      overriding = level
      log.level = overriding ?? configured
    },
    levelNow: () => ({ level: overriding ?? configured, configured }),
  })
}

/**
 * The time of a line, in the form of pino's `isoTime`. The part up to the second is made once a second: to make all of it took a
 * quarter of the time of a line.
 */
function createTimestamp(): () => string {
  let second = NaN
  let start = ''
  return () => {
    const nowMs = Date.now()
    const ms = nowMs % 1000
    if (nowMs - ms !== second) {
      second = nowMs - ms
      start = new Date(second).toISOString().slice(0, -'000Z'.length)
    }
    return `,"time":"${start}${String(ms).padStart(3, '0')}Z"`
  }
}
