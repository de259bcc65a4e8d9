/**
 * How changed files arrive. A file that was replaced by rename is complete. A file that is written in place may be half written, as its
 * writer may pause: it counts once its size and its time of change have been the same for a while. Reads no content, sets no timer.
 */
import fs from 'node:fs'
import path from 'node:path'

export type Arrival = 'rename' | 'in-place'

export type Arrivals = {
  /** Notes an event of a directory: `rename` for a new, moved or removed name, `change` for a write to it or to its attributes. */
  noteEvent(directory: string, name: string, event: string): void
  /** Notes the state in which a file was read. A file that is known already keeps its state. */
  know(file: string, state: State): void
  /**
   * @returns for how long to wait, 0 once all files are settled; and how each file arrived that has changed since it was last taken.
   *   A file that has joined the list is known from now on, and has not changed.
   */
  look(files: readonly string[], settleMs: number): { waitMs: number; changed: ReadonlyMap<string, Arrival> }
  /** What the last look found is what counts now. */
  take(): void
}

/** `id`: which file the path leads to, undefined if to none; `stamp`: its size and time of change. */
export type State = { id: string | undefined; stamp: string }

/** @param nowMs monotonic */
export function createArrivals(nowMs: () => number = () => performance.now()): Arrivals {
  const taken = new Map<string, State>()
  const seen = new Map<string, State & { arrival: Arrival; sinceMs: number }>()
  /** Names that were written to since they came, by their directory. */
  const written = new Set<string>()

  /** A link is followed: what counts is the file where it leads. */
  function arrivalOf(file: string, before: State, now: State): Arrival {
    // Absent: it may be about to be made anew.
    if (now.id === undefined || now.id === before.id) return 'in-place'
    return written.has(realPath(file)) ? 'in-place' : 'rename'
  }

  return {
    noteEvent(directory, name, event) {
      const entry = path.join(directory, name)
      if (event === 'rename') written.delete(entry)
      else written.add(entry)
    },
    know(file, { id, stamp }) {
      if (!taken.has(file)) taken.set(file, { id, stamp })
    },
    look(files, settleMs) {
      let waitMs = 0
      const changed = new Map<string, Arrival>()
      for (const file of files) {
        const now = stateOf(file)
        const before = taken.get(file)
        if (before === undefined) {
          taken.set(file, now)
          continue
        }
        if (isSame(before, now)) {
          seen.delete(file)
          continue
        }
        const last = seen.get(file)
        const arrival = arrivalOf(file, last ?? before, now)
        const isNew = last === undefined || !isSame(last, now)
        // Once a file was replaced by rename it is complete, until it is written to.
        const kept = last !== undefined && (!isNew || (now.id === last.id && !written.has(realPath(file))))
        const state = { ...now, arrival: kept ? last.arrival : arrival, sinceMs: isNew ? nowMs() : last.sinceMs }
        seen.set(file, state)
        changed.set(file, state.arrival)
        if (state.arrival === 'in-place') waitMs = Math.max(waitMs, state.sinceMs + settleMs - nowMs())
      }
      return { waitMs, changed }
    },
    take() {
      for (const [file, { id, stamp }] of seen) taken.set(file, { id, stamp })
      seen.clear()
    },
  }
}

function isSame(a: State, b: State): boolean {
  return a.id === b.id && a.stamp === b.stamp
}

export function stateOf(file: string): State {
  try {
    const { dev, ino, size, mtimeNs } = fs.statSync(file, { bigint: true })
    return { id: `${dev}:${ino}`, stamp: `${size}:${mtimeNs}` }
  } catch {
    return { id: undefined, stamp: '' } // absent, or out of reach
  }
}

function realPath(file: string): string {
  try {
    return fs.realpathSync(file)
  } catch {
    return file
  }
}
