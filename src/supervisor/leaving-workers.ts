/** Workers that a smaller `workers` leaves over: they accept nothing any more, and end when their last session has ended. */

/** How often they are asked. A session ends by itself after minutes or hours. */
const ASK_EVERY_MS = 1000

export type LeavingWorkers<W> = {
  has: (worker: W) => boolean
  /** Exactly these leave from now on; one that is not named serves again. */
  set: (workers: readonly W[]) => void
  close: () => void
}

/**
 * @param countSessions rejects if the worker does not answer
 * @param end called once for a worker that leaves and has no session
 */
export function createLeavingWorkers<W>(
  countSessions: (worker: W) => Promise<number>,
  end: (worker: W) => void,
  askEveryMs = ASK_EVERY_MS,
): LeavingWorkers<W> {
  const leaving = new Set<W>()
  let timer: NodeJS.Timeout | undefined

  async function look(): Promise<void> {
    for (const worker of leaving) {
      const sessions = await countSessions(worker).catch(() => undefined)
      if (sessions === 0 && leaving.delete(worker)) end(worker)
    }
    timer = leaving.size > 0 ? setTimeout(() => void look(), askEveryMs) : undefined
  }

  return {
    has: (worker) => leaving.has(worker),
    set(workers) {
      leaving.clear()
      for (const worker of workers) leaving.add(worker)
      if (leaving.size > 0) timer ??= setTimeout(() => void look(), askEveryMs)
    },
    close() {
      leaving.clear()
      clearTimeout(timer)
    },
  }
}
