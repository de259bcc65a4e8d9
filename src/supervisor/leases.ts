/** Renews the leases of this instance's workers: once a second, and at once while a login waits for more of a limit. */
import type { Settings } from '../config/settings.ts'
import { limitsOf } from '../leases/keys.ts'
import { createLessor, type Lessor } from '../leases/lessor.ts'

/** A worker that has become idle returns its part within this time. */
const EVERY_MS = 1000
/** While a login waits. A login takes about as long, so that a shorter interval would gain little. */
const WHILE_SHORT_MS = 50

export type LeaseKeeper = Pick<Lessor, 'join' | 'leave' | 'renew'> & { stop(): void }

/** @param settings the settings in force; not called at once */
export function keepLeases(settings: () => Settings): LeaseKeeper {
  const lessor = createLessor(
    () => limitsOf(settings().routing.backends),
    () => performance.now(),
  )
  let isSoon = false
  let timer: NodeJS.Timeout
  schedule(false)

  function schedule(soon: boolean): void {
    isSoon = soon
    timer = setTimeout(renewAll, soon ? WHILE_SHORT_MS : EVERY_MS).unref()
  }

  function renewAll(): void {
    lessor.renew()
    schedule(lessor.isShort())
  }

  return {
    ...lessor,
    renew(holder) {
      lessor.renew(holder)
      if (isSoon) return
      clearTimeout(timer)
      schedule(true)
    },
    stop: () => clearTimeout(timer),
  }
}
