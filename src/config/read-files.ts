/**
 * The files that a load reads, each as it was just before it was read. A watcher that begins later compares with that, and so finds a
 * change that was made during the load.
 */
import { stateOf, type State } from './arrivals.ts'
import { hashContentNow } from './content-hash.ts'

export type FileState = State & { hash: string }

export type ReadFiles = {
  /** Called with an absolute path before the file is read. @throws MuxError `local-shortage` */
  add: (file: string) => void
  has: (file: string) => boolean
  /** in the order of their reading */
  states: ReadonlyMap<string, FileState>
}

export function createReadFiles(): ReadFiles {
  const states = new Map<string, FileState>()
  return {
    add(file) {
      if (!states.has(file)) states.set(file, { ...stateOf(file), hash: hashContentNow(file) })
    },
    has: (file) => states.has(file),
    states,
  }
}
