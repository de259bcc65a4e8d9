/** A reload that an operator orders. The service manager learns of it. */
import type { Configuration } from './configuration.ts'
import type { Notifier } from './notify.ts'
import type { ReloadResult } from './reload-result.ts'

/** What `systemctl status` shows. */
export const SERVING = 'serving'

export type ReloadOrderParts = {
  files: Pick<Configuration, 'reload'>
  notifier: Pick<Notifier, 'reloading' | 'ready'>
  /** The service manager waits for the end of the start, or this process is about to end. */
  isBetween: () => boolean
}

export type ReloadOrder = {
  order: () => Promise<ReloadResult>
  /** how many there have been */
  count: () => number
}

export function createReloadOrder({ files, notifier, isBetween }: ReloadOrderParts): ReloadOrder {
  let count = 0

  async function order(): Promise<ReloadResult> {
    count++
    if (isBetween()) return files.reload()
    notifier.reloading()
    let state = SERVING
    try {
      const result = await files.reload()
      if (result.outcome === 'refused') state = `${SERVING}; the last reload was refused, see the log`
      return result
    } finally {
      if (!isBetween()) notifier.ready(state)
    }
  }

  return { order, count: () => count }
}
