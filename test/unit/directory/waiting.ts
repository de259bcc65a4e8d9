/** A list that grows while the test runs, and waiting for what it comes to hold. */
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'

export type GrowingList<T> = {
  all: readonly T[]
  add: (one: T) => void
  /** called after each addition */
  onAdded: (listener: () => void) => void
}

export function growList<T>(): GrowingList<T> {
  const all: T[] = []
  const listeners: (() => void)[] = []
  return {
    all,
    add(one) {
      all.push(one)
      for (const listener of listeners) listener()
    },
    onAdded: (listener) => listeners.push(listener),
  }
}

/** Waits until the list is as wanted; fails with what it holds. */
export async function until<T>(
  list: GrowingList<T>,
  wanted: (all: readonly T[]) => boolean,
  what: string,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const look = (): void => {
    if (wanted(list.all)) resolve(undefined)
  }
  list.onAdded(look)
  look()
  await within(READ_DEADLINE_MS, promise, () => `no ${what} in ${JSON.stringify(list.all)}`)
}
