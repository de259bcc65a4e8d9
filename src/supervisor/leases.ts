/**
 * Keeps the leases of this instance's workers, and its own part where the limits are shared with other instances: renews them once a
 * second, and sooner while a login waits for more of a limit.
 */
import type { Settings } from '../config/settings.ts'
import { limitsOf } from '../leases/keys.ts'
import { createLessor, type AskHolder, type Caps, type Held, type Lessor, type Uses } from '../leases/lessor.ts'
import { createSiteLeases, type LeaseStore, type SiteLeases } from '../leases/site-leases.ts'
import type { Log } from '../log.ts'
import { atMost } from './at-most.ts'

/** A worker or an instance that has become idle returns its part within this time. */
const EVERY_MS = 1000
/** While a login waits. A login takes about as long, so that a shorter interval would gain little. */
const WHILE_SHORT_MS = 50
/** The same among instances: four commands a second for each limit. */
const SHARE_WHILE_SHORT_MS = 250
/** For the last commands at the stop: Redis may be away, and the process must end. */
const LEAVE_MS = 1000

export type LeaseKeeper = Pick<Lessor, 'join' | 'leave' | 'renew' | 'settled'> & {
  /** what this instance holds. undefined: a store tells the next generation */
  held: () => Held | undefined
  /** The next generation leases to this instance from now on, as to a worker; undefined: it does not any more. */
  obey(caps: Caps | undefined): Promise<Uses>
  /** The generation before this one, which holds this, may be asked now. Settles when it has given up what it does not need. */
  shareWith(elder: AskHolder, holds: Held): Promise<void>
  /** Whether the limits are agreed on with the other instances; undefined without a store. */
  isShared: () => boolean | undefined
  /** Agrees on the limits through another store from now on, and gives the part of this instance in the old one back. Does not fail. */
  moveTo(site: SharedLeases | undefined): Promise<void>
  /** Gives the part of this instance back. */
  stop(): Promise<void>
}

/** the name of this instance, and the store that it shares with others */
export type SharedLeases = { id: string; store: LeaseStore }

export type LeaseParts = {
  /** the settings in force; not called at once */
  settings: () => Settings
  /** undefined if it counts for itself */
  site: SharedLeases | undefined
  log: Pick<Log, 'info' | 'warn'>
}

export function keepLeases({ settings, site, log }: LeaseParts): LeaseKeeper {
  const nowMs = (): number => performance.now()
  const configured = (): Map<string, number> => limitsOf(settings().routing.backends)
  const lessor: Lessor = createLessor(() => given ?? shared?.limits() ?? configured(), nowMs)
  /** by the next generation */
  let given: Caps | undefined
  let cause: string | undefined
  let shared = open(site)
  let wasShared = true
  let sharedMs = -Infinity
  let isSoon = false
  let stopped = false
  let timer: NodeJS.Timeout
  schedule(EVERY_MS)

  function open(site: SharedLeases | undefined): SiteLeases | undefined {
    if (!site) return undefined
    const onResult = (failure: string | undefined): void => void (cause = failure)
    return createSiteLeases({ ...site, limits: configured, total: lessor.total, onResult, nowMs })
  }

  async function leave(left: SiteLeases | undefined): Promise<void> {
    if (!left) return
    await atMost(
      LEAVE_MS,
      left.leave().catch(() => undefined),
    )
  }

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
    const asked = shared
    if (!asked) return
    sharedMs = nowMs()
    void asked.renew().then(() => {
      if (asked !== shared) return
      lessor.renew()
      noteShared(asked.isShared())
    })
  }

  function noteShared(isShared: boolean): void {
    if (stopped || isShared === wasShared) return
    wasShared = isShared
    if (isShared) log.info('limits are shared with other instances again')
    else log.warn({ cause }, 'limits are not shared with other instances')
  }

  /** Gives up what is over the caps, and asks for them. */
  async function renewed(): Promise<void> {
    lessor.renew()
    await lessor.settled()
  }

  return {
    ...lessor,
    held: () => (shared ? undefined : new Map([...configured().keys()].map((key) => [key, lessor.total(key)]))),
    async obey(caps) {
      given = caps
      await renewed()
      const uses = (key: string, cap: number) => {
        const { held, used, need } = lessor.total(key)
        // A worker that has not answered may use what it holds.
        return { used: held > cap ? held : used, waiting: Math.max(0, need - used) }
      }
      return new Map([...(caps ?? [])].map(([key, cap]) => [key, uses(key, cap)]))
    },
    async shareWith(elder, holds) {
      lessor.join(elder, holds)
      // In the first round the elder gives up what it does not need, in the second the workers get it.
      await renewed()
      await renewed()
    },
    renew(holder) {
      lessor.renew(holder)
      if (isSoon || stopped) return
      clearTimeout(timer)
      schedule(WHILE_SHORT_MS)
    },
    isShared: () => shared?.isShared(),
    async moveTo(site) {
      const [before, next] = [shared, open(site)]
      // Until the new store has granted the parts that are in use, those of the old one count: no login waits.
      await next?.renew()
      if (stopped) return
      shared = next
      wasShared = true
      lessor.renew()
      await leave(before)
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await leave(shared)
    },
  }
}
