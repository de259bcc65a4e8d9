/** One line on the terminal: how far a long command is, how fast, and how long it will take. */
import { formatMs } from '../table.ts'

export type ProgressBar = {
  /** @param share that is done, from 0 to 1. @param count what is counted, such as routes */
  show: (share: number, count: number) => void
  /** Takes the line away. */
  end: () => void
}

const EVERY_MS = 200
const WIDTH = 24

/** @param print shows a line in the place of the last one; undefined where standard error is no terminal */
export function openProgress(
  what: string,
  print: ((line: string) => void) | undefined,
  nowMs: () => number = () => performance.now(),
): ProgressBar {
  const startMs = nowMs()
  let saidMs = -Infinity
  return {
    show(share, count) {
      const atMs = nowMs()
      if (!print || atMs - saidMs < EVERY_MS) return
      saidMs = atMs
      print(formatProgress(what, share, count, atMs - startMs))
    },
    end: () => print?.(''),
  }
}

/** Exported for its test. */
export function formatProgress(what: string, share: number, count: number, tookMs: number): string {
  const done = Math.min(WIDTH, Math.floor(share * WIDTH))
  const bar = `${'='.repeat(done)}${' '.repeat(WIDTH - done)}`
  const percent = `${Math.floor(Math.min(1, share) * 100)}%`.padStart(4)
  const rate = tookMs < 500 ? '' : `  ${formatCount(Math.round(count / (tookMs / 1000)))}/s`
  const left =
    share <= 0 || tookMs < 500 ? '' : `  ${formatMs(Math.ceil(((1 - share) / share) * (tookMs / 1000)) * 1000)} left`
  return `${what} |${bar}|${percent}  ${formatCount(count)}${rate}${left}`
}

/** `1,234,567` */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/gu, ',')
}
