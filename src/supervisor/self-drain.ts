/**
 * The drain of this instance on order: health checks see at once that it is not ready, its ports close a little later, and then its sessions
 * end at safe points. The process goes on and answers operators until it is stopped.
 */
import type { DrainAnswer, DrainParts } from '../admin/drain-routes.ts'
import { sleep, systemAlarm } from '../clock.ts'
import type { Log } from '../log.ts'

export type SelfDrainParts = {
  /** Closes the ports, and settles when the sessions have ended, which takes no longer than `graceMs`. */
  stop: () => Promise<void>
  /** number of sessions, those of older generations included */
  sessions: () => Promise<number>
  /** `limits.shutdown_grace` in force */
  graceMs: () => number
  /** why there can be no drain now */
  whyNotNow: () => string | undefined
  /** The instance serves no more. */
  onOrder: () => void
  log: Pick<Log, 'info' | 'error'>
  /** for tests */
  pass?: (ms: number, signal: AbortSignal) => Promise<void>
}

export type SelfDrain = DrainParts['drain'] & {
  /** For the stop of the instance, which waits for no load balancer: the sessions end now. The same promise each time. */
  end: () => Promise<void>
}

const passTime = (ms: number, signal: AbortSignal): Promise<void> => sleep(systemAlarm, ms, signal)

export function createSelfDrain(parts: SelfDrainParts): SelfDrain {
  const { stop, sessions, graceMs, whyNotNow, onOrder, log, pass = passTime } = parts
  const hurry = new AbortController()
  let state: DrainAnswer['state'] = 'serving'
  let acceptMs = 0
  let ended: Promise<void> | undefined

  const status = async (): Promise<DrainAnswer> => ({
    state,
    sessions: state === 'drained' ? 0 : await sessions().catch(() => 0),
    withinMs: acceptMs + graceMs(),
  })

  function end(): Promise<void> {
    hurry.abort()
    return (ended ??= stop())
  }

  async function drain(): Promise<void> {
    log.info({ acceptMs }, 'draining')
    await pass(acceptMs, hurry.signal)
    state = 'ending'
    await end()
    state = 'drained'
    log.info('drained')
  }

  return {
    async order(ms) {
      if (state === 'serving') {
        const why = whyNotNow()
        if (why !== undefined) return { error: why }
        state = 'accepting'
        acceptMs = ms
        onOrder()
        drain().catch((error: unknown) => log.error({ err: error }, 'defect'))
      }
      return status()
    },
    status,
    end,
  }
}
