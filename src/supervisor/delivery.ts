/** Sends settings to one process of a worker: first its users in pieces, if they have changed, then the rest. */
import type { Settings } from '../config/settings.ts'
import { UserTable } from '../config/build/user-table.ts'
import { pack, type Packed } from './packed.ts'
import { sendTable, type TablePiece } from './table-pieces.ts'

export type DeliveryParts = {
  /** the current settings */
  settings: () => Settings
  /**
   * Settles when the worker has received the piece; rejects if the process has ended. One piece at a time: pieces that arrive together are
   * copied once more, and the process does not return that memory to the system.
   */
  sendUsers: (piece: TablePiece) => Promise<unknown>
  /** for the first settings */
  start: (settings: Packed<Settings>) => Promise<void>
  /** For all later settings. Settles when they are in effect; rejects if the process has ended. */
  configure: (settings: Packed<Settings>) => Promise<unknown>
  hasEnded: () => boolean
}

/**
 * @returns a function that delivers the current settings and settles when they are in effect. One delivery at a time; of several changes
 *   during it, only the last is delivered. If the worker does not read, it waits until the worker reads or ends.
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
  /** The settings are newer than those that the worker has or that are being sent. */
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
