/**
 * What runs of `mailmux move` have reported to this instance: lists the runs, and counts the outcomes. A run that is killed reports no end,
 * and is listed until its last report is too old.
 */
import type { MovesAnswer } from '../admin/answers.ts'
import type { MoveReport } from '../admin/move-routes.ts'
import { MOVE_OUTCOMES, type MoveOutcome } from '../metrics/instance-metrics.ts'

/** A run reports each 5 seconds at least. */
const SILENT_MS = 30_000
/** Operators run a few at a time. Each takes a few kilobytes. */
const MOST_RUNS = 50

export type Moves = {
  /** @returns false if too many runs report */
  report: (run: string, report: MoveReport) => boolean
  list: () => MovesAnswer
  /** users that are being moved */
  running: () => number
}

type Run = { report: MoveReport; firstMs: number; lastMs: number }

/** @param ended counts outcomes. @param nowMs monotonic */
export function createMoves(ended: (outcome: MoveOutcome, count: number) => void, nowMs: () => number): Moves {
  const runs = new Map<string, Run>()

  /** A run that is over is kept for as long as another one, so that a late report of it counts nothing again. */
  function forgetSilent(): void {
    for (const [id, { lastMs }] of runs) if (nowMs() - lastMs > SILENT_MS) runs.delete(id)
  }

  function current(): [string, Run][] {
    forgetSilent()
    return [...runs].filter(([, { report }]) => !report.isOver)
  }

  return {
    report(id, report) {
      const now = nowMs()
      forgetSilent()
      const before = runs.get(id)
      if (!before && runs.size >= MOST_RUNS) return false
      if (before?.report.isOver) return true
      for (const outcome of MOVE_OUTCOMES) {
        const more = report[outcome] - (before?.report[outcome] ?? 0)
        if (more > 0) ended(outcome, more)
      }
      runs.set(id, { report, firstMs: before?.firstMs ?? now, lastMs: now })
      return true
    },
    list() {
      const now = nowMs()
      return {
        moves: current().map(([run, { report, firstMs }]) => {
          const { isOver: _, ...facts } = report
          return { run, ...facts, ageSeconds: Math.round((now - firstMs) / 1000) }
        }),
      }
    },
    running: () => current().reduce((sum, [, { report }]) => sum + report.running, 0),
  }
}
