/** How far a bulk move is, in one line. Pure. */
import { seconds } from './step.ts'

export type BulkProgress = { total: number; moved: number; failed: number; running: number; elapsedMs: number }

/** `moved 120 of 300 (40 %), 2 failed, 20 running, 3.1 a second, 58 s left` */
export function formatProgress({ total, moved, failed, running, elapsedMs }: BulkProgress): string {
  const done = moved + failed
  const perSecond = elapsedMs > 0 ? (done * 1000) / elapsedMs : 0
  const left = perSecond > 0 ? `, ${seconds(((total - done) * 1000) / perSecond)} left` : ''
  const percent = total === 0 ? 100 : Math.floor((done * 100) / total)
  return `moved ${moved} of ${total} (${percent} %), ${failed} failed, ${running} running, ${formatRate(perSecond)}${left}`
}

export function formatRate(perSecond: number): string {
  return `${perSecond >= 10 ? Math.round(perSecond) : Math.round(perSecond * 10) / 10} a second`
}
