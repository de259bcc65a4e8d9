/** The level of the log that an operator sets for a time, in all processes of this instance. */
import type { LogLevelOrders } from '../admin/log-routes.ts'
import type { AdjustableLog } from '../log.ts'

type Level = ReturnType<AdjustableLog['levelNow']>['level']

/** A worker that is started again has the level of the configuration until it is told. */
const REPEAT_MS = 2000

/**
 * @param log of this process
 * @param tell sets the level in the other processes; undefined: that of the configuration. Does not fail
 */
export function createLogLevel(
  log: AdjustableLog,
  tell: (level: Level | undefined) => Promise<unknown>,
): LogLevelOrders {
  let untilMs: number | undefined
  let end: NodeJS.Timeout | undefined
  let repeat: NodeJS.Timeout | undefined

  const status = () => ({
    ...log.levelNow(),
    ...(untilMs !== undefined && { leftMs: Math.max(0, untilMs - performance.now()) }),
  })

  async function set(level: Level | undefined, forMs?: number): Promise<void> {
    clearTimeout(end)
    clearInterval(repeat)
    log.override(level)
    untilMs = level === undefined || forMs === undefined ? undefined : performance.now() + forMs
    if (level !== undefined) repeat = setInterval(() => void tell(level), REPEAT_MS).unref()
    if (untilMs !== undefined) end = setTimeout(expire, forMs).unref()
    await tell(level)
  }

  function expire(): void {
    void set(undefined)
    log.info({ level: log.levelNow().level }, 'log level is that of the configuration again')
  }

  return {
    status,
    async set({ level, forMs }) {
      await set(level, forMs)
      return status()
    },
    async reset() {
      await set(undefined)
      return status()
    },
  }
}
