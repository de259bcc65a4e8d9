/**
 * Keeps the leases of this instance's workers, and its own part where the limits are shared with other instances: renews them once a
 * second, and sooner while a login waits for more of a limit.
 */
import type { Settings } from '../config/settings.ts'
import { limitsOf } from '../leases/keys.ts'
import { createLessor, type Lessor } from '../leases/lessor.ts'
import { createSiteLeases, type LeaseStore, type SiteLeases } from '../leases/site-leases.ts'
import type { Log } from '../log.ts'

/** A worker or an instance that has become idle returns its part within this time. */
const EVERY_MS = 1000
/** While a login waits. A login takes about as long, so that a shorter interval would gain little. */
const WHILE_SHORT_MS = 50
/** The same among instances: four commands a second for each limit. */
const SHARE_WHILE_SHORT_MS = 250
/** For the last commands at the stop: Redis may be away, and the process must end. */
const LEAVE_MS = 1000

export type LeaseKeeper = Pick<Lessor, 'join' | 'leave' | 'renew'> & {
  /** Whether the limits are agreed on with the other instances; undefined without a store. */
  isShared: () => boolean | undefined
  /** Gives the part of this instance back. */
  stop(): Promise<void>
}

export type LeaseParts = {
  /** the settings in force; not called at once */
  settings: () => Settings
  /** the name of this instance, and the store that it shares with others; undefined if it counts for itself */
  site: { id: string; store: LeaseStore } | undefined
  log: Pick<Log, 'info' | 'warn'>
}

export function keepLeases({ settings, site, log }: LeaseParts): LeaseKeeper {
  const nowMs = (): number => performance.now()
  const configured = (): Map<string, number> => limitsOf(settings().routing.backends)
  const lessor: Lessor = createLessor(() => shared?.limits() ?? configured(), nowMs)
  let cause: string | undefined
  const shared: SiteLeases | undefined =
    site &&
    createSiteLeases({
      ...site,
      limits: configured,
      total: lessor.total,
      onResult: (failure) => (cause = failure),
      nowMs,
    })
  let wasShared = true
  let sharedMs = -Infinity
  let isSoon = false
  let stopped = false
  let timer: NodeJS.Timeout
  schedule(EVERY_MS)

  function schedule(ms: number): void {
    isSoon = ms < EVERY_MS
    timer = setTimeout(renewAll, ms).unref()
  }

  function renewAll(): void {
    lessor.renew()
    const isShort = lessor.isShort()
    if (nowMs() - sharedMs >= (isShort ? SHARE_WHILE_SHORT_MS : EVERY_MS - WHILE_SHORT_MS)) renewSite()
    schedule(isShort ? WHILE_SHORT_MS : EVERY_MS)
  }

  function renewSite(): void {
    if (!shared) return
    sharedMs = nowMs()
    void shared.renew().then(() => {
      lessor.renew()
      noteShared(shared.isShared())
    })
  }

  function noteShared(isShared: boolean): void {
    if (stopped || isShared === wasShared) return
    wasShared = isShared
    if (isShared) log.info('limits are shared with other instances again')
    else log.warn({ cause }, 'limits are not shared with other instances')
  }

  return {
    ...lessor,
    renew(holder) {
      lessor.renew(holder)
      if (isSoon || stopped) return
      clearTimeout(timer)
      schedule(WHILE_SHORT_MS)
    },
    isShared: () => shared?.isShared(),
    async stop() {
      stopped = true
      clearTimeout(timer)
      if (!shared) return
      let late: NodeJS.Timeout | undefined
      const enough = new Promise<void>((resolve) => (late = setTimeout(resolve, LEAVE_MS)))
      await Promise.race([shared.leave(), enough])
      clearTimeout(late)
    },
  }
}
