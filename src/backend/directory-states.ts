/**
 * Follows the states of back ends that the directory has. While the directory cannot be read, and for a value that is wrong, the last
 * valid state stays in effect.
 */
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'
import type { DirectoryState } from './state.ts'

export type DirectoryStatesParts = {
  /** the names of the back ends that are configured */
  names: () => Iterable<string>
  /** @returns the state; undefined if the directory has none. @throws Error where it cannot be read now */
  read: (backend: string) => Promise<DirectoryState | { wrong: string } | undefined>
  set: (backend: string, state: DirectoryState | undefined) => void
  /** Counts a value that is wrong. */
  refused: (backend: string) => void
  log: Pick<Log, 'error'>
}

export type DirectoryStates = {
  /** The state of this back end has changed in the directory; undefined: any may have. */
  changed: (backend: string | undefined) => void
  close: () => void
}

/** Pause after the directory could not be read. An outage ends with a call of `changed` anyway. */
const AGAIN_MS = 5000

export function followDirectoryStates({ names, read, set, refused, log }: DirectoryStatesParts): DirectoryStates {
  const limit = createLogLimit<string>()
  const due = new Set<string>()
  let isReading = false
  let again: NodeJS.Timeout | undefined

  async function readDue(): Promise<void> {
    if (isReading) return
    isReading = true
    // Taken out before the question: a change while it is under way is read once more.
    for (const backend of due) {
      due.delete(backend)
      if (!(await readOne(backend))) break
    }
    isReading = false
  }

  function refuse(backend: string, wrong: string): void {
    refused(backend)
    const others = limit(backend)
    if (others) log.error({ backend, wrong, ...others }, 'back end state refused')
  }

  /** @returns whether the directory has answered */
  async function readOne(backend: string): Promise<boolean> {
    try {
      const state = await read(backend)
      if (state && 'wrong' in state) refuse(backend, state.wrong)
      else set(backend, state)
      return true
    } catch {
      due.add(backend)
      again ??= setTimeout(() => {
        again = undefined
        void readDue()
      }, AGAIN_MS).unref()
      return false
    }
  }

  return {
    changed(backend) {
      for (const name of names()) if (backend === undefined || name === backend) due.add(name)
      void readDue()
    },
    close() {
      clearTimeout(again)
      due.clear()
    },
  }
}
