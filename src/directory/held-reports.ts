/** What a directory reports before it is in force: its log lines are kept, and its state has no effect on the metrics until then. */
import type { Log } from '../log.ts'
import type { DirectoryMonitor } from './directory.ts'

/** A directory that cannot be reached has few lines: one for each new cause. */
const MOST_LINES = 20

export type HeldReports = {
  log: Log
  monitor: DirectoryMonitor
  /** It is in force: its lines are written, and its state counts. */
  release(): void
  /** It is not in force any more, or never comes into force. */
  drop(): void
}

export function holdReports(log: Log, monitor: DirectoryMonitor): HeldReports {
  let phase: 'held' | 'released' | 'dropped' = 'held'
  let lines: (() => void)[] = []
  let [isUp, hasLostData] = [false, false]
  let completeAtMs: number | undefined

  function line(level: 'info' | 'warn' | 'error') {
    return (first: object | string, text?: string): void => {
      const write = (): void => (typeof first === 'string' ? log[level](first) : log[level](first, text))
      if (phase === 'released') write()
      else if (phase === 'held' && lines.length < MOST_LINES) lines.push(write)
    }
  }
  return {
    log: {
      debug: () => undefined, // a directory has no line of this level
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
    },
    monitor: {
      directoryIsUp(up) {
        isUp = up
        if (phase === 'released') monitor.directoryIsUp(up)
      },
      directoryHasLostData(lost) {
        hasLostData = lost
        if (phase === 'released') monitor.directoryHasLostData(lost)
      },
      snapshotIsComplete(atMs) {
        completeAtMs = atMs
        if (phase === 'released') monitor.snapshotIsComplete?.(atMs)
      },
      directoryAnsweredBadly() {
        if (phase !== 'dropped') monitor.directoryAnsweredBadly()
      },
      ...(monitor.noteShortage && { noteShortage: monitor.noteShortage }),
    },
    release() {
      phase = 'released'
      monitor.directoryIsUp(isUp)
      monitor.directoryHasLostData(hasLostData)
      monitor.snapshotIsComplete?.(completeAtMs)
      for (const write of lines) write()
      lines = []
    },
    drop() {
      phase = 'dropped'
      lines = []
    },
  }
}
