/** The moves of many users, several at a time. Each is a move of its own: a failure of one changes nothing for the others. */
import type { MoveOrder, MoveOutcome } from './move-user.ts'

export type BulkParts = {
  orders: readonly MoveOrder[]
  parallel: number
  /** Moves one user; it writes the journal and observes `stop` itself. */
  move: (order: MoveOrder) => Promise<MoveOutcome>
  onBegin: (order: MoveOrder) => void
  onEnd: (order: MoveOrder, outcome: MoveOutcome) => void
  /** aborted: no further user is begun */
  stop: AbortSignal
}

export type BulkResult = {
  moved: number
  failed: number
  /** of the failed: those that may succeed later without a change */
  temporary: number
  notBegun: number
  /** it stopped by itself, after so many failures in a row */
  gaveUp: boolean
}

/** So many failures in a row have one cause, such as a full target. With more users at a time, all of them may fail at once. */
const FAILURES_IN_A_ROW = 10

export async function moveMany({ orders, parallel, move, onBegin, onEnd, stop }: BulkParts): Promise<BulkResult> {
  const result = { moved: 0, failed: 0, temporary: 0, notBegun: 0, gaveUp: false }
  let next = 0
  let inARow = 0
  const most = Math.max(FAILURES_IN_A_ROW, 2 * parallel)

  async function work(): Promise<void> {
    for (;;) {
      if (stop.aborted || result.gaveUp) return
      const order = orders[next++]
      if (!order) return
      onBegin(order)
      const outcome = await move(order)
      if (outcome.kind === 'moved') {
        result.moved++
        inARow = 0
      } else {
        result.failed++
        if (outcome.temporary) result.temporary++
        if (++inARow >= most) result.gaveUp = true
      }
      onEnd(order, outcome)
    }
  }

  await Promise.all(Array.from({ length: Math.min(parallel, orders.length) }, work))
  result.notBegun = orders.length - result.moved - result.failed
  return result
}
