/**
 * A marker that is young says nothing of a loss yet. An instance without memory writes one into an emptied Redis as into a new one; an
 * instance that has seen the marker before needs a moment to connect again and to declare the loss. Until then a missing route counts
 * for nothing. The marker names itself in `settled` once an instance has waited that long, so that the wait is one for all instances.
 */
import { MuxError } from '../../errors.ts'

/** Longer than an instance pauses between two attempts to connect (2.2 s, connection.ts). A login of an unknown user waits as long, at the first start alone. */
export const YOUNG_MS = 3000
/** The next look, where the marker could not be read at the end of that time. */
const LOOK_AGAIN_MS = 2000

export type MarkerYouth = {
  /**
   * The directory shows this marker, and no loss.
   * @returns whether it is for this instance to write that the marker is settled
   */
  see(id: string, settled: string | null): boolean
  /** Resolves when missing routes count; undefined where they do. Rejects with the error of `end`. */
  over: () => Promise<void> | undefined
  /** The directory counts no more: what waits is refused, and the time begins anew. */
  end(error: MuxError): void
}

type Young = { id: string; hasWaited: boolean; over: PromiseWithResolvers<undefined>; timer: NodeJS.Timeout }

/** @param look reads the marker, and shows it to `see` */
export function createMarkerYouth(look: () => void): MarkerYouth {
  let young: Young | undefined
  /** the id for which this instance has waited, or another one has */
  let grown: string | undefined

  function begin(id: string): void {
    const over = Promise.withResolvers<undefined>()
    over.promise.catch(() => undefined) // where no login waits for it
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
