/** Settings on their way to one process of a worker: its users ahead in pieces, where they have changed, and then the rest. */
import type { Settings } from '../config/settings.ts'
import { UserTable } from '../config/build/user-table.ts'
import { pack, type Packed } from './packed.ts'
import { sendTable, type TablePiece } from './table-pieces.ts'

export type DeliveryParts = {
  /** the settings of now */
  settings: () => Settings
  /**
   * Settles when the worker has taken the piece; rejects when the process has ended. Pieces that arrive together would be copied once more
   * there, and what is freed of them stays with the process.
   */
  sendUsers: (piece: TablePiece) => Promise<unknown>
  /** the first time */
  start: (settings: Packed<Settings>) => Promise<void>
  /** Each further time. Settles when the settings are taken over; rejects when the process has ended. */
  configure: (settings: Packed<Settings>) => Promise<unknown>
  hasEnded: () => boolean
}

/**
 * @returns delivers the settings of now, and settles when they are taken over. One delivery at a time: of several changes that wait for
 *   it the last counts. A worker that does not read keeps this waiting until it reads or ends.
 */
export function createDelivery({
  settings,
  sendUsers,
  start,
  configure,
  hasEnded,
}: DeliveryParts): () => Promise<void> {
  /** the table that the worker has */
  let users: UserTable | undefined
  let isStarted = false
  let underWay: Promise<void> | undefined
  /** The settings have changed since those that the worker has, or that are on their way. */
  let isOutdated = false
  const isOver = (): boolean => isOutdated || hasEnded()

  async function deliverUsers(next: Settings['routing']['users']): Promise<void> {
    if (next === users || !(next instanceof UserTable)) return
    users = undefined
    await sendTable(next, sendUsers, () => !isOver())
    if (!isOver()) users = next
  }

  async function deliverOnce(): Promise<void> {
    isOutdated = false
    const next = settings()
    await deliverUsers(next.routing.users)
    if (isOver()) return
    const isFirst = !isStarted
    isStarted = true
    await (isFirst ? start : configure)(pack(next))
  }

  async function deliver(): Promise<void> {
    while (isOutdated && !hasEnded()) await deliverOnce()
  }

  return () => {
    isOutdated = true
    underWay ??= deliver().finally(() => (underWay = undefined))
    return underWay
  }
}
