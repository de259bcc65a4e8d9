/**
 * A young marker does not prove that no data is lost. An instance without a snapshot writes a marker into an emptied Redis as into a
 * new one. An instance that knows the previous marker needs time to reconnect and to declare the loss. Until then a missing route does
 * not count. After the wait the instance writes `settled`, so that the other instances do not wait again.
 */
import { MuxError } from '../../errors.ts'

/** Longer than the pause between two connection attempts (2.2 s, connection.ts). Logins of unknown users wait that long, at the first start only. */
export const YOUNG_MS = 3000
/** Interval of further checks if the marker could not be read at the end of that time. */
const LOOK_AGAIN_MS = 2000

export type MarkerYouth = {
  /**
   * Must be called when the directory shows this marker, and no loss.
   * @returns whether this instance must write `settled`
   */
  see(id: string, settled: string | null): boolean
  /** Resolves when missing routes count; undefined if they count already. Rejects with the error of `end`. */
  over: () => Promise<void> | undefined
  /** Rejects all waits, because the directory does not count any more. The time starts again. */
  end(error: MuxError): void
}

type Young = { id: string; hasWaited: boolean; over: PromiseWithResolvers<undefined>; timer: NodeJS.Timeout }

/** @param look reads the marker and passes it to `see` */
export function createMarkerYouth(look: () => void): MarkerYouth {
  let young: Young | undefined
  /** the id for which this instance or another one has waited */
  let grown: string | undefined

  function begin(id: string): void {
    const over = Promise.withResolvers<undefined>()
    over.promise.catch(() => undefined) // if no login waits for it
    const next: Young = { id, hasWaited: false, over, timer: setTimeout(wake, YOUNG_MS).unref() }
    function wake(): void {
      next.hasWaited = true
      next.timer = setTimeout(wake, LOOK_AGAIN_MS).unref()
      look()
    }
    young = next
  }

  function end(error: MuxError): void {
    clearTimeout(young?.timer)
    young?.over.reject(error)
    young = undefined
  }

  return {
    see(id, settled) {
      if (grown === id) return false
      if (settled !== id && young?.id !== id) {
        end(new MuxError('directory-unavailable', 'the marker of the directory has changed'))
        begin(id)
      }
      if (settled !== id && young?.hasWaited !== true) return false
      grown = id
      clearTimeout(young?.timer)
      young?.over.resolve(undefined)
      young = undefined
      return settled !== id
    },
    over: () => young?.over.promise,
    end,
  }
}
