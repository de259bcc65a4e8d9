/**
 * Reports when the content of a configuration file has changed. It does not read or check the configuration. It watches directories and
 * not files: after a file is replaced, a watcher of the old file gets no events. Only a change of content is reported: a touch, or a rename
 * there and back, is none. A file that is written in place is reported when it has not changed for some time.
 */
import fs from 'node:fs'
import path from 'node:path'
import { hasCode, systemCode } from '../errors.ts'
import { createArrivals, type Arrival } from './arrivals.ts'
import { hashAll, hashContentNow } from './content-hash.ts'
import type { FileState } from './read-files.ts'
import { watchedNames } from './watched-names.ts'

export type WatchOptions = {
  /** time without an event before the files are compared; default 100, so that several renames of a script count as one change */
  debounceMs?: number
  /** how long the size and time of a file that is written in place must stay the same; default 2000. Called at each comparison. */
  settleMs?: () => number
  /** pause before a directory that cannot be watched is tried again, and the files are compared; default 30 s */
  retryMs?: number
  /**
   * The state in which files were read before they were watched. A file in another state has changed since. Default: none; files then
   * count as read when their watch begins.
   */
  asRead?: () => ReadonlyMap<string, FileState>
  /** Called with the cause when a directory cannot be watched, and with undefined when all are watched again. */
  onWatching?: (failure: string | undefined) => void
  /** Called with the error of a failed `onChange`. Default: the error is thrown, which ends the process. */
  onError?: (error: unknown) => void
}

/** The files with changed content, and how each arrived. */
export type FileChanges = ReadonlyMap<string, Arrival>

export type FileWatcher = {
  /** Stops watching; no change is reported afterwards. May be called twice. */
  close(): void
  /** Records the current content as known, because the files are about to be read. Later changes are reported. */
  takeKnown(): Promise<void>
  /** Tries at once to watch directories that could not be watched, and records the content of files that are new in the list. */
  refresh(): Promise<void>
}

/** Continuous events delay a comparison by at most ten times `debounceMs`. */
const MOST_DELAYS = 10

/** Pause before the next comparison after a shortage of descriptors, whose end causes no event. */
const SHORTAGE_MS = 5000

/**
 * @param files absolute paths, existing or not; called before each comparison and after each `onChange`, so the list may change
 * @param onChange not called before its last promise has settled; changes meanwhile are reported afterwards
 */
export function watchFiles(
  files: () => readonly string[],
  onChange: (changes: FileChanges) => void | Promise<void>,
  options: WatchOptions = {},
): FileWatcher {
  const { debounceMs = 100, settleMs = () => 2000, retryMs = 30_000, onError = rethrow, onWatching } = options
  const { asRead = () => new Map<string, FileState>() } = options
  const arrivals = createArrivals()
  const watchers = new Map<string, { watcher: fs.FSWatcher; inode: string | undefined; names: ReadonlySet<string> }>()
  /** hashes */
  let known = new Map<string, string>()
  let timer: NodeJS.Timeout | undefined
  let settling: NodeJS.Timeout | undefined
  let failure: string | undefined
  let firstEventAt: number | undefined
  let busy = false
  let closed = false

  /** Watches the current directories of the files: links may have changed, and a directory may have been replaced by another of the same name. */
  function watchDirectories(paths: readonly string[]): void {
    const unwatched = failure !== undefined
    const wanted = watchedNames(paths)
    let failed: string | undefined
    for (const [directory, { watcher, inode }] of watchers) {
      if (wanted.has(directory) && inodeOf(directory) === inode) continue
      watcher.close()
      watchers.delete(directory)
    }
    for (const [directory, names] of wanted) {
      const watched = watchers.get(directory)
      if (watched) watched.names = names
      else failed = watchDirectory(directory, names) ?? failed
    }
    if (failed !== failure) onWatching?.(failed)
    failure = failed
    // Changes while a directory was not watched caused no event.
    if (unwatched && failed === undefined) lookSoon()
    // When other programs release descriptors or watches, there is no event here.
    if (failed !== undefined && !closed) lookIn(retryMs)
  }

  /** @returns the cause if it cannot be watched */
  function watchDirectory(directory: string, names: ReadonlySet<string>): string | undefined {
    try {
      // Read before the watch begins: if the directory is replaced in between, it is only watched once more.
      const inode = inodeOf(directory)
      const watcher = fs.watch(directory)
      watchers.set(directory, { watcher, inode, names })
      watcher.on('error', () => {
        watcher.close()
        watchers.delete(directory)
        lookSoon()
      })
      watcher.on('change', (event, name) => {
        // An event with the directory's own name: it was moved or removed. A new directory may have the same inode.
        if (name === path.basename(directory)) {
          watcher.close()
          watchers.delete(directory)
          lookSoon()
        } else if (watchers.get(directory)?.names.has(String(name)) === true) {
          arrivals.noteEvent(directory, String(name), event)
          lookSoon()
        }
      })
    } catch (error) {
      // It was removed in between: the next comparison watches its parent.
      if (systemCode(error) !== 'ENOENT') return systemCode(error)
      lookSoon()
    }
    return undefined
  }

  /** Compares the files after this time at the latest, even without an event. */
  function lookIn(ms: number): void {
    clearTimeout(settling)
    settling = setTimeout(lookSoon, ms).unref()
  }

  function lookSoon(): void {
    if (closed) return
    firstEventAt ??= performance.now()
    if (busy || (timer !== undefined && performance.now() - firstEventAt > MOST_DELAYS * debounceMs)) return
    clearTimeout(timer)
    timer = setTimeout(() => void look(), debounceMs)
  }

  function lookAgain(): void {
    busy = false
    if (firstEventAt !== undefined) lookSoon()
  }

  async function look(): Promise<void> {
    timer = undefined
    firstEventAt = undefined
    busy = true
    try {
      const paths = files()
      watchDirectories(paths)
      const { waitMs, changed } = arrivals.look(paths, settleMs())
      // Applies to all files: a complete file must not be read together with a half-written one.
      if (waitMs > 0) lookIn(waitMs)
      else await tell(paths, changed)
    } catch (error) {
      onError(error)
      if (hasCode(error, 'local-shortage')) lookIn(SHORTAGE_MS)
    }
    lookAgain()
  }

  async function tell(paths: readonly string[], arrived: FileChanges): Promise<void> {
    const found = await hashAll(paths)
    arrivals.take()
    const changed = paths.filter((file) => known.has(file) && known.get(file) !== found.get(file))
    known = found
    if (changed.length === 0) return
    // A change that size, time and inode do not show counts as written in place, so it may be half written.
    await onChange(new Map(changed.map((file) => [file, arrived.get(file) ?? 'in-place'])))
    await refresh()
  }

  /** Records the hashes of files that are new in the list. Other files keep the hash of their last report. */
  async function refresh(): Promise<void> {
    if (closed) return
    const now = files()
    watchDirectories(now)
    takeNew(now)
    const added = await hashAll(now.filter((file) => !known.has(file)))
    known = new Map(now.map((file) => [file, known.get(file) ?? added.get(file) ?? '']))
  }

  /** Records files that are new in the list, as they were read. Those that have changed since are compared soon. */
  function takeNew(now: readonly string[]): void {
    for (const file of now) {
      const state = known.has(file) ? undefined : asRead().get(file)
      if (!state) continue
      arrivals.know(file, state)
      known.set(file, state.hash)
    }
    if (arrivals.look(now, 0).changed.size > 0) lookSoon()
  }

  async function takeKnown(): Promise<void> {
    const paths = files()
    arrivals.look(paths, 0)
    arrivals.take()
    known = await hashAll(paths)
  }

  const paths = files()
  // The watchers first: a change after the comparison then causes an event.
  watchDirectories(paths)
  takeNew(paths)
  for (const file of paths) if (!known.has(file)) known.set(file, hashContentNow(file))

  return {
    takeKnown,
    refresh,
    close() {
      closed = true
      clearTimeout(timer)
      clearTimeout(settling)
      for (const { watcher } of watchers.values()) watcher.close()
      watchers.clear()
    },
  }
}

function inodeOf(directory: string): string | undefined {
  const stat = fs.statSync(directory, { bigint: true, throwIfNoEntry: false })
  return stat && `${stat.dev}:${stat.ino}`
}

function rethrow(error: unknown): never {
  throw error
}
