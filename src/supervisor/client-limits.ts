/** What the limits on clients count, for all workers of this instance; with a store, together with the other instances. */
import type { Settings } from '../config/settings.ts'
import type { Ledger } from '../limits/ledger.ts'
import type { LedgerChange } from '../limits/ledger-change.ts'
import { createLocalLedger, type LocalLedger } from '../limits/local-ledger.ts'
import { createSharedLedger } from '../limits/shared-ledger.ts'
import { createSiteCounts, type SiteCounts } from '../limits/site-counts.ts'
import { isAnyShared, isSharedCount, type SiteStore } from '../limits/site-store.ts'
import { limitsInForce, type Usage } from '../limits/usage.ts'
import type { Log } from '../log.ts'

const TICK_MS = 1000
/** Until the store is used for the first time, for two seconds: logins wait for that. */
const FIRST_TICK_MS = 50
const FIRST_TICKS = 40

/** The name of this instance, and the store that it shares with others. */
export type SharedLimits = { id: string; store: SiteStore }

export type ClientLimits = Pick<LocalLedger, 'handOver' | 'hear' | 'endElder'> & {
  ledger: Ledger
  /** Those at this instance that are nearest to their limits. */
  usage: (most: number) => Usage[]
  /** undefined while no limit on clients is shared */
  isShared: () => boolean | undefined
  /** Uses another store from now on, which gets the counts of now, and removes them from the old one. undefined: this instance counts for itself */
  moveTo(site: SharedLimits | undefined): Promise<void>
  stop(): void
}

export type ClientLimitParts = {
  /** the settings in force; not called at once */
  settings: () => Settings
  /** undefined if this instance counts for itself */
  site: SharedLimits | undefined
  log: Pick<Log, 'info' | 'warn'>
}

export function keepClientLimits({ settings, site, log }: ClientLimitParts): ClientLimits {
  const nowMs = (): number => performance.now()
  const local = createLocalLedger(nowMs)
  let counts = share(site)
  let firstTicks = FIRST_TICKS
  let stopped = false
  let timer = setTimeout(tick, 0)

  function share(shared: SharedLimits | undefined): SiteCounts | undefined {
    const made: SiteCounts | undefined =
      shared && createSiteCounts({ ...shared, local, onChange: (cause) => note(made, cause), nowMs })
    return made
  }

  function note(of: SiteCounts | undefined, cause: string | undefined): void {
    if (of !== counts) return // its store is not used any more
    if (cause === undefined) log.info('limits on clients are shared with other instances again')
    else log.warn({ cause }, 'limits on clients are not shared with other instances')
  }

  const isNeeded = (): boolean => isAnyShared(settings().listeners.map(({ limits }) => limits))

  function tick(): void {
    const asked = counts
    if (!asked || !(isNeeded() || asked.isShared())) later(TICK_MS)
    else
      void asked.tick().then(() => {
        if (asked === counts) later(asked.isShared() || --firstTicks < 0 ? TICK_MS : FIRST_TICK_MS)
      })
  }

  function later(ms: number): void {
    if (!stopped) timer = setTimeout(tick, ms).unref()
  }

  /** @returns the change without what the store tells the next generation; undefined: nothing is left */
  function unshared(change: LedgerChange): LedgerChange | undefined {
    if (!counts) return change
    if (change.what === 'count') return isSharedCount(change.key) ? undefined : change
    if (change.what !== 'hold' && change.what !== 'release') return change
    const keys = change.keys.filter((key) => !isSharedCount(key))
    return keys.length > 0 ? { ...change, keys } : undefined
  }

  function* allUnshared(changes: Iterable<LedgerChange>): Generator<LedgerChange> {
    for (const change of changes) {
      const left = unshared(change)
      if (left) yield left
    }
  }

  return {
    hear: local.hear,
    endElder: local.endElder,
    handOver(to) {
      const tell = (change: LedgerChange): void => {
        const left = unshared(change)
        if (left) to?.(left)
      }
      return allUnshared(local.handOver(to && tell))
    },
    ledger: createSharedLedger(local, () => counts),
    usage: (most) => local.usage(limitsInForce(settings().listeners), most),
    isShared: () => (counts && isNeeded() ? counts.isShared() : undefined),
    async moveTo(next) {
      const before = counts
      counts = share(next)
      firstTicks = FIRST_TICKS
      clearTimeout(timer)
      later(0) // logins wait for the new store
      await before?.leave()
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
