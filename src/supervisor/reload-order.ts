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

export function createReloadOrder({ files, notifier, isBetween }: ReloadOrderParts): () => Promise<ReloadResult> {
  return async () => {
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
}
