/** The heartbeat of this instance: written every 5 s, and once more when messages arrive and when commands reach the store. */
import { splitName, type Exchange } from './exchange.ts'
import type { Facts } from './messages.ts'

/** A third of the time after which it expires. */
export const BEAT_EVERY_MS = 5000
/** For the last command at the stop: Redis may be away, and the process must end. */
const LEAVE_MS = 1000

export type Heartbeat = {
  /** Writes it now, and again if one is being written. */
  beat(): void
  /** instances with a heartbeat, this one included; 1 while the others are not known */
  count: () => number
  /** Writes no more, and removes it. */
  stop(): Promise<void>
}

/** @param facts of now; bounded in time */
export function startHeartbeat(
  name: string,
  exchange: Pick<Exchange, 'beat' | 'leave'>,
  facts: () => Promise<Facts>,
): Heartbeat {
  const { host } = splitName(name)
  let beating: Promise<void> | undefined
  let isAskedAgain = false
  let stopped = false
  let count = 1

  async function write(): Promise<void> {
    try {
      const text = JSON.stringify({ host, ...(await facts()) })
      if (!stopped) count = Math.max(1, await exchange.beat(text))
    } catch {
      count = 1 // the exchange has reported it; the next beat is the retry
    }
  }

  function beat(): void {
    if (stopped) return
    if (beating) {
      isAskedAgain = true
      return
    }
    beating = write().finally(() => {
      beating = undefined
      if (!isAskedAgain) return
      isAskedAgain = false
      beat()
    })
  }

  const timer = setInterval(beat, BEAT_EVERY_MS)
  return {
    beat,
    count: () => count,
    async stop() {
      stopped = true
      clearInterval(timer)
      let enough: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => (enough = setTimeout(resolve, LEAVE_MS)))
      // A beat under way would write the heartbeat again after it is removed.
      const leaving = (beating ?? Promise.resolve()).then(() => exchange.leave()).catch(() => undefined)
      await Promise.race([leaving, late])
      clearTimeout(enough)
    },
  }
}
