/** Sends settings to one process of a worker: first its users in pieces, if they have changed, then the rest. */
import type { Settings } from '../config/settings.ts'
import { UserTable } from '../config/build/user-table.ts'
import { pack, type Packed } from './packed.ts'
import { sendTable, type TablePiece } from './table-pieces.ts'

/** Pause after a failure, most often for lack of memory, whose end causes no event. */
const RETRY_MS = 5000

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
  /** Called if the process could not take the users or the settings, and has not ended. It keeps its old settings meanwhile. */
  noteFailure: (error: unknown) => void
  /** for tests */
  retryMs?: number
}

/**
 * @returns a function that delivers the current settings and settles when they are in effect. One delivery at a time; of several changes
 *   during it, only the last is delivered. If the worker does not read, it waits until the worker reads or ends. A failure rejects; the
 *   delivery is repeated after a pause.
 */
export function createDelivery({
  settings,
  sendUsers,
  start,
  configure,
  hasEnded,
  noteFailure,
  retryMs = RETRY_MS,
}: DeliveryParts): () => Promise<void> {
  /** the table that the worker has */
  let users: UserTable | undefined
  let isStarted = false
  let underWay: Promise<void> | undefined
  /** The settings are newer than those that the worker has or that are being sent. */
  let isOutdated = false
  let again: NodeJS.Timeout | undefined
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
    clearTimeout(again)
    try {
      while (isOutdated && !hasEnded()) await deliverOnce()
    } catch (error) {
      if (!hasEnded()) {
        noteFailure(error)
        again = setTimeout(() => void request().catch(() => undefined), retryMs).unref()
      }
      throw error
    }
  }

  function request(): Promise<void> {
    isOutdated = true
    underWay ??= deliver().finally(() => (underWay = undefined))
    return underWay
  }
  return request
}
